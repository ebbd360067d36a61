"""What campaigns cost while thousands of comments wait: to find them, to show them, to decide one.

    python -m benchmarks.waiting_campaigns [--waiting N]

Comments written for the project wait on two sites that allow to see campaigns as one, on SQLite:
two texts behind each other for what stands by itself, and one in five a copy of one of fifty with
a few words changed. Processor time of one thread, and the memory of the process that looks.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.goals import Row, table
from benchmarks.seeded import WRITTEN
from model.decision import Decision, RejectReason
from model.outcome import Outcome, Scores
from model.policy import Policy
from model.submission import Author, Submission
from model.verdict import Reason, Verdict
from service.campaigns import CampaignFinder
from service.keyring import Keyring
from service.storage import Asked, Checked, Site, Store, new_id
from service.storage.campaigns import Campaigns
from service.storage.finding import Finding
from training.examples import read_rows

COPIED = 50
ONE_IN = 5
BATCH = 500
VERDICT = Verdict(
    outcome=Outcome.QUEUE,
    scores=Scores(spam=0.6, toxicity=0.1),
    reasons=(Reason("score.spam_unsure", "content", "0.6"),),
    hits=(),
    spans=(),
    model="bench",
    policy="bench",
)


def sentences() -> list[str]:
    """Texts of more than a few words, in a fixed order."""
    found = {row.text for file in sorted(WRITTEN.glob("*.jsonl")) for row in read_rows(file)}
    return sorted(text for text in found if 60 < len(text) < 600)


def comments(texts: Sequence[str], number: int) -> Iterator[Submission]:
    """So many comments; the same every time."""
    chance = random.Random(7)
    for n in range(number):
        if n % ONE_IN:
            text = f"{chance.choice(texts)} {chance.choice(texts)}"
        else:
            words = f"{texts[chance.randrange(COPIED)]} {texts[COPIED]}".split()
            words[chance.randrange(len(words))] = f"{n}"
            text = " ".join(words)
        yield Submission(content=text, author=Author(name=f"{chance.choice(texts)[:12]} {n}"))


def fill(store: Store, sites: Sequence[Site], number: int) -> None:
    """Have so many comments wait."""
    texts, asked, at = sentences(), [], datetime.now(UTC) - timedelta(days=1)
    for n, sent in enumerate(comments(texts, number)):
        at += timedelta(milliseconds=10)
        asked.append(Asked(sites[n % len(sites)].id, new_id(at), sent, at, sent.content.casefold()))
        if len(asked) == BATCH or n == number - 1:
            known = store.gather(asked)
            store.record([Checked(a, k, VERDICT, 1.0) for a, k in zip(asked, known, strict=True)])
            asked = []


def milliseconds(act: Callable[[], object], *, times: int = 1) -> float:
    """Processor time of one call, the median of several."""
    taken = []
    for _ in range(times):
        begun = time.process_time()
        act()
        taken.append(1e3 * (time.process_time() - begun))
    return sorted(taken)[len(taken) // 2]


def resident_mb() -> float:
    """Memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def shown(name: str, figure: str) -> Row:
    """A figure without a goal."""
    return Row(name, "", figure, None, "")


def measured(store: Store, number: int) -> list[Row]:
    """Find, show, decide and take back."""
    sites = [store.add_site(name, Policy(audit_rate=0))[0] for name in ("one", "two")]
    campaigns = Campaigns(store)
    for site in sites:
        campaigns.share(site.id, allowed=True, by="bench")
    fill(store, sites, number)
    Finding(store).catch_up(most=number)
    before = resident_mb()
    finder, turns = CampaignFinder(store), []
    looked = 1
    while looked:
        begun = time.process_time()
        looked = finder.turn()
        turns.append(1e3 * (time.process_time() - begun))
    memory = resident_mb() - before
    again = milliseconds(CampaignFinder(store)._load)
    found = campaigns.all_open(None)
    (largest,) = campaigns.of(found[:1])
    pages = milliseconds(lambda: campaigns.open(None, limit=50), times=5)
    top = milliseconds(lambda: campaigns.all_open(None), times=5)
    spam = Decision(Outcome.REJECT, RejectReason.SPAM, "bench", datetime.now(UTC))
    done = []
    decided = milliseconds(
        lambda: done.append(
            campaigns.decide(
                None, largest.id, spam, upto=largest.newest, follow_for=timedelta(hours=24)
            )
        )
    )
    undone = milliseconds(
        lambda: campaigns.undo(None, largest.id, moderator="bench", only_own=True)
    )
    of_it = done[0].decided
    return [
        shown("campaigns found", f"{len(found)}, of {sum(c.waiting for c in found):,}"),
        shown("looking, a comment", f"{sum(turns) / number:.2f} ms"),
        shown("the longest turn (500 comments)", f"{max(turns):,.0f} ms"),
        shown("memory of the process that looks", f"{memory:,.0f} MB"),
        shown("reading all again", f"{again / 1e3:,.1f} s"),
        shown("which campaigns wait (each queue page)", f"{top:.1f} ms"),
        shown("fifty campaigns, whole (/campaigns)", f"{pages:.0f} ms"),
        shown(f"one press on {of_it:,} comments", f"{decided / of_it:.2f} ms a comment"),
        shown("its undo", f"{undone / of_it:.2f} ms a comment"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.waiting_campaigns", description=__doc__
    )
    parser.add_argument("--waiting", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        store = Store.open(f"sqlite:///{folder / 'duyet.db'}", Keyring.open(folder / "secrets"))
        store.migrate()
        print(table(measured(store, options.waiting)))
        store.close()


if __name__ == "__main__":
    main()
