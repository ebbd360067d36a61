"""A newsroom in the middle of its work, made in seconds: what pages, screenshots and timings need.

Four weeks of comments on three sites, judged by the shipped model as they come, most of what
waited decided by several people, some of that undone, reported, decided anew; near-duplicates
that came in a wave; and 1,000 or more that still wait. The comments are real ones from a
directory of labelled files, else those that were written for the project (`training/texts`).
The same arguments give the same newsroom, but for random keys and ids.

    python -m benchmarks.seeded FOLDER [--data DIR] [--count N]     makes one and serves it
"""

import argparse
import asyncio
import itertools
import os
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import training
from benchmarks.installation import Installation, installation
from model.addresses import has_address
from model.decision import Decision, RejectReason, ReportKind
from model.outcome import Head, Outcome
from model.policy import Policy
from model.registry import SHIPPED, Registry
from model.submission import Article, Author, CommentType, FormFacts, Submission
from service import first_start
from service.chores import chores_of
from service.deliverability import Deliverability
from service.keyring import Keyring
from service.metrics import Metrics
from service.moderation import Answered, Moderation
from service.pauses import Pauses
from service.serving import Serving, registry_of
from service.settings import Settings, load_settings
from service.storage import EVERY_SITE, Role, Site, Store
from training.examples import Row, read_rows

WRITTEN = Path(training.__file__).parent / "texts"
"""Comments written for the project, for who has no others."""

COUNT = 5_000
DAYS = 28
LINK_LIFETIME = timedelta(hours=2)

SITES = ("bao-ban-mai", "dien-dan-lam-vuon", "field-notes")
POLICIES = (
    Policy(reject_risk=0.0005, queue_risk=0.05, audit_rate=0.02),
    Policy(reject_risk=0, queue_risk=0.05),
    Policy(),
)
"""Of each site: one rejects only what is plain, one leaves all rejecting to people."""

PEOPLE = (
    ("Mai Lê", Role.ADMIN, ""),
    ("An Trần", Role.MODERATOR, ""),
    ("Bình", Role.MODERATOR, SITES[0]),
    ("Ruth", Role.MODERATOR, SITES[2]),
    ("Chi", Role.VIEWER, ""),
)
"""Name, role, and the site it is on; none for every site."""

ARTICLES = {
    "vi": (
        "Lãi suất giảm, người vay mua nhà có lợi?",
        "Cầu mới qua sông: một năm sau ngày thông xe",
        "Vì sao giá tiêu tăng mà nông dân vẫn chặt bỏ",
        "Tuyển chọn đội hình cho trận chung kết",
        "Mười cách ủ phân tại nhà",
        "Học sinh lớp 10 và kỳ thi đầu tiên theo chương trình mới",
    ),
    "en": (
        "What the council counted on the bridge",
        "Rates, savings and a long decade",
        "Pruning apples: step by step",
        "A field guide to small repairs",
    ),
}

CROWD = 1_500
"""How many people write; few of them much."""

_WAVE = 48
_WAVE_TEXT = (
    "Anh em vào {link} nhận ngay {sum} lần nạp đầu, rút tiền trong {minutes} phút, "
    "uy tín số 1, mã giới thiệu MAI{code}"
)
WAVE_MARK = "-thuong.example"
"""What the links of the wave have in common, and no other comment."""

_A_BATCH = 32
_DECIDED = 3
"""Of so many that wait one is decided."""

_TURNS = 2
"""Times that each chore is done, as some go on where they ended."""

_BUSY_DAYS = 5
"""The last days, in which nobody had time."""


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment, the site it is sent to, and what people would say of it."""

    submission: Submission = field(repr=False)
    site: int
    reason: RejectReason | None
    """What they would reject it as, None when they would accept it."""


@dataclass
class Seeded:
    """A newsroom that is there, and served once it was started."""

    service: Installation
    store: Store
    sites: tuple[Site, ...]
    written_until: datetime

    @property
    def url(self) -> str:
        return self.service.url

    def link(self, name: str = PEOPLE[0][0]) -> str:
        """A fresh one-time link for one of its people."""
        known = {one.name: one.id for one in self.store.moderators()}
        token = self.store.new_sign_in_link(known[name], LINK_LIFETIME)
        return f"{self.url}/sign-in?token={token}"


@contextmanager
def seeded(folder: Path, *, data: Path | None = None, count: int = COUNT) -> Iterator[Seeded]:
    """A newsroom under `folder`, served until the block ends.

    `data` is a directory of labelled files. Raises SystemExit where it holds none.
    """
    told = comments_of(data or WRITTEN, count)
    with filled(folder, told) as newsroom:
        newsroom.service.start()
        yield newsroom


@contextmanager
def filled(
    folder: Path,
    told: Sequence[Comment],
    *,
    policies: Sequence[Policy] = POLICIES,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Seeded]:
    """A newsroom with these comments, not served yet.

    `policies` are the sites', `environment` more settings of the service, such as
    `DUYET_DATABASE_URL`.
    """
    clock = _Clock(_beginning(), timedelta(days=DAYS) / max(1, len(told)))
    told_so = environment or {}
    with installation(folder, **told_so) as service:
        settings = load_settings({"DUYET_DATA_DIR": str(service.data_dir), **told_so})
        first_start.lay_out(settings)
        keyring = Keyring.open(settings.secrets_dir)
        store = Store.open(settings.sqlalchemy_url, keyring, now=lambda: clock.at)
        try:
            store.migrate()
            sites = tuple(
                store.add_site(name, policy)[0]
                for name, policy in zip(SITES, policies, strict=True)
            )
            where = {"": EVERY_SITE} | {site.name: site.id for site in sites}
            for name, role, site in PEOPLE:
                store.add_moderator(name, role, site_id=where[site], by=PEOPLE[0][0])
            # In a thread of its own: who has a browser open has an event loop in this one.
            with ThreadPoolExecutor(1) as thread:
                thread.submit(asyncio.run, _written(store, sites, told, clock)).result()
            clock.at = datetime.now(UTC)
            _catch_up(settings, store)
            yield Seeded(service, store, sites, clock.at)
        finally:
            store.close()


class _Clock:
    """The time at which the next comment comes, a step after the one before."""

    def __init__(self, at: datetime, step: timedelta) -> None:
        self.at = at
        self._step = step

    def next(self) -> datetime:
        self.at += self._step
        return self.at


def _beginning() -> datetime:
    return datetime.now(UTC) - timedelta(days=DAYS, minutes=5)


# ------------------------------------------------------------------ comments


def comments_of(data: Path, count: int) -> list[Comment]:
    """So many comments from every file in turn, in the order in which they come.

    Nine of ten are Vietnamese or English, where there are enough. Where a directory holds too
    few they come again, told apart by a number.
    """
    files = sorted(data.glob("*.jsonl.gz")) or sorted(data.glob("*.jsonl"))
    if not files:
        raise SystemExit(f"there are no labelled files in {data}")
    rows = _in_turn([read_rows(path) for path in files], 3 * count)
    usual = [row for row in rows if row.lang in ARTICLES]
    others = [row for row in rows if row.lang not in ARTICLES]
    kept = usual[: count - min(len(others), count // 10)]
    every = max(1, len(kept) // max(1, count - len(kept)))
    rest = iter(others[: count - len(kept)])
    mixed: list[Row] = []
    for place, row in enumerate(kept):
        mixed += [row, *itertools.islice(rest, place % every == 0)]
    mixed += rest
    found = [_comment(row, place) for place, row in enumerate(mixed)]
    found += [
        replace(again, submission=replace(one, content=f"{one.content} ({number})"))
        for number, again in zip(range(count - len(found)), itertools.cycle(found), strict=False)
        for one in [again.submission]
    ]
    return _with_a_wave(found)


def _in_turn(streams: list[Iterator[Row]], most: int) -> list[Row]:
    found: list[Row] = []
    turn = deque(streams)
    while turn and len(found) < most:
        row = next(turn[0], None)
        if row is None:
            turn.popleft()
            continue
        turn.rotate(-1)
        if row.text.strip() and not has_address(row.text):
            found.append(row)
    return found


def _comment(row: Row, place: int) -> Comment:
    mixed = place * 2_654_435_761 % 2**32 / 2**32
    person = int(CROWD * mixed**2)
    language = row.lang if row.lang in ARTICLES else "en"
    titles = ARTICLES[language]
    article = int(len(titles) * (mixed * 17 % 1))
    site = 2 if language == "en" else int(mixed * 29 % 1 > 0.7)
    name = row.author[:60] if row.author and not has_address(row.author) else ""
    return Comment(
        Submission(
            content=row.text,
            author=Author(
                name or _NAMES[person % len(_NAMES)],
                f"reader.{person}@thu-{person % 97}.example",
                row.author_url if row.author_url.startswith("http") else "",
                f"198.18.{person // 250}.{person % 250 + 1}",
                row.user_agent or "Mozilla/5.0",
            ),
            permalink=f"https://{SITES[site]}.example/{language}/{article + 1}",
            article=Article(titles[article], language),
            parent_id=str(place - 3) if place % 6 == 5 else "",
            type=CommentType.REPLY if place % 6 == 5 else CommentType.COMMENT,
            form=FormFacts(seconds_to_fill=3.0 + person % 90),
            external_id=str(place),
        ),
        site,
        _said_of(row),
    )


_NAMES = (
    "Lan", "Hùng", "Thảo Nguyên", "Minh Đức", "Cô Tư", "Quốc Bảo", "Hạnh", "Trần Văn Kiệm",
    "Jonas", "Ruth Alder", "Dana W.", "Peter", "Ngọc Ánh", "Phúc", "Mỹ Linh", "anh Ba Cần Thơ",
)  # fmt: skip


def _said_of(row: Row) -> RejectReason | None:
    if row.label is None or not row.label.positive:
        return None
    return RejectReason.SPAM if row.label.head is Head.SPAM else RejectReason.TOXIC


def _with_a_wave(told: list[Comment]) -> list[Comment]:
    """Nearly the same comment from many places within hours, and short thanks among them."""
    at = len(told) - len(told) // 12
    many = min(_WAVE, len(told) // 20)
    for number in range(many):
        place = at + number * 3 // 2
        kept = told[place].submission
        words = _WAVE_TEXT.format(
            link=f"https://{('k9', 'win', 'rik', 'vip')[number % 4]}{WAVE_MARK}/{number % 7}",
            sum=f"{150 + number % 5 * 10}k",
            minutes=3 + number % 4,
            code=1000 + number * 37,
        )
        name = ("Kim Ngân", "Hội Thưởng", "VIP Nổ Hũ", "Bé Na")[number % 4]
        author = replace(kept.author, name=name, email=f"na{number}@hop-thu-{number % 9}.example")
        sent = replace(kept, content=words, author=author)
        told[place] = Comment(sent, told[place].site, RejectReason.SPAM)
    for number in range(many // 2):
        place = at - 2 - number * 5
        short = replace(told[place].submission, content=("Hay quá", "Hay quá!")[number % 2])
        told[place] = Comment(short, told[place].site, None)
    return told


# ------------------------------------------------------------------ what became of them


async def _written(
    store: Store, sites: Sequence[Site], told: Sequence[Comment], clock: _Clock
) -> None:
    serving = Serving(Registry(SHIPPED), metrics := Metrics())
    serving.refresh()
    with Deliverability() as deliverability:
        moderation = Moderation(
            store, serving, now=clock.next, deliverability=deliverability, metrics=metrics
        )
        a_day = max(_A_BATCH, len(told) // DAYS)
        for begin in range(0, len(told), a_day):
            day = told[begin : begin + a_day]
            answers = await _checked(moderation, sites, day)
            if begin < len(told) - _BUSY_DAYS * a_day:
                _decide(store, day, answers, clock)
        await moderation.drain()


def _catch_up(settings: Settings, store: Store) -> None:
    """Do at once what the service does by and by: what it counts, finds, forgets."""
    metrics = Metrics()
    serving = Serving(registry_of(settings), metrics)
    chores = chores_of(
        settings,
        store,
        serving,
        metrics,
        spool=None,
        post=None,
        now=lambda: datetime.now(UTC),
        pauses=Pauses(),
    )
    for chore in chores:
        for _ in range(_TURNS):
            chore.do()


async def _checked(
    moderation: Moderation, sites: Sequence[Site], day: Sequence[Comment]
) -> list[Answered | None]:
    answers: list[Answered | None] = [None] * len(day)
    for begin in range(0, len(day), 4 * _A_BATCH):
        part = range(begin, min(len(day), begin + 4 * _A_BATCH))
        for number, site in enumerate(sites):
            places = [place for place in part if day[place].site == number]
            sent = [day[place].submission for place in places]
            for place, answer in zip(places, await moderation.check(site, sent), strict=True):
                answers[place] = answer if isinstance(answer, Answered) else None
    return answers


def _decide(
    store: Store, day: Sequence[Comment], answers: Sequence[Answered | None], clock: _Clock
) -> None:
    """What people make of a day: each its share of what waits, some of it twice."""
    deciders = [name for name, role, site in PEOPLE if role is not Role.VIEWER and not site]
    for place, (comment, answer) in enumerate(zip(day, answers, strict=True)):
        if answer is None:
            continue
        outcome = answer.verdict.outcome
        if outcome is Outcome.ACCEPT and comment.reason and place % 5 == 0:
            kind = ReportKind.SPAM if comment.reason is RejectReason.SPAM else ReportKind.TOXIC
            store.report(None, answer.id, kind)
        elif outcome is Outcome.REJECT and not comment.reason and place % 3 == 0:
            store.report(None, answer.id, ReportKind.HAM)
        if outcome is not Outcome.QUEUE or place % _DECIDED:
            continue
        clock.at += timedelta(milliseconds=1)
        by = deciders[place // _DECIDED % len(deciders)]
        store.decide(None, answer.id, _decision(comment.reason, by, clock.at))
        if place % 15 == 0:
            store.undo(None, answer.id, moderator=by)
            store.decide(None, answer.id, _decision(comment.reason, deciders[0], clock.at))


def _decision(reason: RejectReason | None, by: str, at: datetime) -> Decision:
    return Decision(Outcome.REJECT if reason else Outcome.ACCEPT, reason, by, at)


# ------------------------------------------------------------------ command


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.seeded", description=__doc__)
    parser.add_argument("folder", type=Path, help="where its data is made")
    parser.add_argument("--data", type=Path, help="labelled files")
    parser.add_argument("--count", type=int, default=COUNT)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with seeded(options.folder, data=options.data, count=options.count) as newsroom:
        print(newsroom.link(), flush=True)
        assert newsroom.service.process is not None, "started"
        try:
            os.waitpid(newsroom.service.process.pid, 0)
        except KeyboardInterrupt:
            sys.exit(0)


if __name__ == "__main__":
    main()
