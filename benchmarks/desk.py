"""The moderators' desk with 100,000 waiting comments: how soon a person sees the next card.

    python -m benchmarks.desk [--data DIR] [--waiting N] [--rounds N] [--only sqlite|postgres]

Real comments, or those written for the project, are judged by the shipped model on sites that
reject nothing, and then recorded again with other words behind them until so many wait. In
Chromium, on the service as it is run, which looks for campaigns among them meanwhile, and with what
pages load in the browser's cache, as it is for whoever comes again:

- *first card*: from the start of the navigation until the frame in which the first card's heading
  is seen was presented, as the browser itself says by Element Timing (`elementtiming` is on that
  heading). A paint of anything else, such as the page's title, does not count, nor does an element
  that is there and not painted yet. The card's text is in the same frame: it is the same element
  of the page, and the page's styles come first.
- *keys at work*: until keys are taken as well, without a goal of its own.
- *next card*: from the time stamp of the key that decides until the frame after the one in which
  another card got the focus has been handed over for painting.

Then what the server takes for the queue's page in each order, under filters and by search. The
numbers above 10,000 that the page shows are counted now and then (`service.storage.lately`), so
that only the first of a row of pages waits for them; `--pause` is between two of the first cards,
and longer than such a number is good for when it is 20. Ends with 1 when a goal was missed.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import islice
from pathlib import Path

import httpx
from playwright.sync_api import Error, Page, sync_playwright

from benchmarks.goals import Row, at_most, table, unmeasured
from benchmarks.postgres import HOW_TO_GET_ONE, running_server
from benchmarks.seeded import WRITTEN, Seeded, comments_of, filled
from model.outcome import OFF, HeadThresholds, Thresholds
from model.policy import Policy
from model.text import comparable
from service.storage import Asked, Checked, Store, StoredComment, new_id
from service.storage.finding import Finding

WAITING = 100_000
JUDGED = 2_000
"""Comments that the model judges; all others are made of them."""

ROUNDS = 25
LONGEST_SECONDS = 20
WARM_UP = 3
FIRST_CARD_MS, NEXT_CARD_MS, PAGE_MS = 300, 100, 300
DATABASES = ("sqlite", "postgres")

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]

QUERIES = {
    "oldest first": "",
    "newest first": "?order=newest",
    "riskiest first": "?order=riskiest",
    "least sure first": "?order=unsure",
    "one language": "?language=en",
    "one reason": "?reason=score.spam_likely",
    "new authors, riskiest": "?new=1&order=riskiest",
    "nothing reported": "?reported=1",
    "a range of scores": "?head=spam&above=40&below=60",
    "a frequent word": "?q=cảm",
    "without diacritics": "?q=bai+viet",
    "a rare word, newest": "?q=sầu+riêng&order=newest",
    "no such word": "?q=qwxzqwxz",
}
"""What the server is asked for, by name."""

_PAUSE = timedelta(seconds=20)
ALL_QUEUED = Policy(thresholds=HeadThresholds(Thresholds(0, OFF), Thresholds(0, OFF)))

# Runs before the page's own scripts, in each document. A frame's message comes once it is painted.
_WATCH = """
(() => {
  const now = () => performance.timeOrigin + performance.now();
  const painted = (then) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = then;
    channel.port2.postMessage(0);
  });
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      if (entry.identifier === "first-card") window.firstCard ??= entry.renderTime;
    }
  }).observe({ type: "element", buffered: true });
  const keysWork = () => {
    if (document.body?.classList.contains("has-keys")) window.keysWork = performance.now();
    else setTimeout(keysWork, 2);
  };
  keysWork();
  let from = null;
  addEventListener("keydown", (event) => {
    if (!["a", "s"].includes(event.key)) return;
    from = { card: document.activeElement?.closest("[data-card]"), since: event.timeStamp };
    window.took = 0;
  }, true);
  addEventListener("focusin", (event) => {
    const card = event.target.closest("[data-card]");
    if (!from || !card || card === from.card) return;
    const { since } = from;
    from = null;
    painted(() => (window.took = performance.now() - since));
  }, true);
})();
"""


def rows(
    data: Path | None,
    *,
    waiting: int = WAITING,
    rounds: int = ROUNDS,
    pause: float = 0.0,
    databases: Sequence[str] = DATABASES,
) -> list[Row]:
    """First and next card and the server's times, on each database."""
    return [row for name in databases for row in _on(name, data, waiting, rounds, pause)]


def _on(database: str, data: Path | None, waiting: int, rounds: int, pause: float) -> Iterator[Row]:
    if shutil.which("chromium") is None:
        yield unmeasured(f"first card, {database}", f"≤ {FIRST_CARD_MS} ms", "no chromium")
        return
    with _database(database) as environment:
        if environment is None:
            yield unmeasured(f"first card, {database}", f"≤ {FIRST_CARD_MS} ms", HOW_TO_GET_ONE)
            return
        with tempfile.TemporaryDirectory() as folder:
            told = comments_of(data or WRITTEN, JUDGED)
            policies = [ALL_QUEUED] * 3
            with filled(Path(folder), told, policies=policies, environment=environment) as newsroom:
                _fill_up(newsroom, waiting)
                newsroom.service.start()
                yield from _in_the_browser(newsroom, database, rounds, pause)
                yield from _at_the_server(newsroom, database, rounds)


@contextmanager
def _database(name: str) -> Iterator[dict[str, str] | None]:
    if name == "sqlite":
        yield {}
        return
    with running_server(is_durable=True) as server:
        url = server.url(server.new_database()) if server else ""
        yield {"DUYET_DATABASE_URL": url} if server else None


# ------------------------------------------------------------------ what waits


def _fill_up(newsroom: Seeded, waiting: int) -> None:
    """Record the judged comments again, each with another one's words behind its own."""
    store = newsroom.store
    started = time.perf_counter()
    judged = list(_waiting(store))
    missing = waiting - store.queue_size(None)
    made = _made(judged, newsroom)
    while missing > 0:
        batch = list(islice(made, min(500, missing)))
        asked = [asked for asked, _ in batch]
        known = store.gather(asked)
        store.record(
            [Checked(a, k, one.verdict, 1.0) for (a, one), k in zip(batch, known, strict=True)]
        )
        missing -= len(batch)
    finding = Finding(store)
    while finding.catch_up():
        pass
    found = store.queue_size(None)
    seconds = time.perf_counter() - started
    print(f"  {found:,} wait, made in {seconds:.0f} s", file=sys.stderr, flush=True)


def _waiting(store: Store) -> Iterator[StoredComment]:
    after = ""
    while True:
        page = store.queue_page(None, limit=200, after=after)
        yield from (item.comment for item in page.items)
        if not (after := page.after):
            return


def _made(
    judged: Sequence[StoredComment], newsroom: Seeded
) -> Iterator[tuple[Asked, StoredComment]]:
    at = newsroom.written_until - _PAUSE * WAITING
    for number in range(10**9):
        at += _PAUSE
        one = judged[number % len(judged)]
        other = judged[(number * 7 + number // len(judged) * 131 + 1) % len(judged)]
        content = f"{one.submission.content}\n{other.submission.content}"
        author = replace(one.submission.author, email=f"reader.{number % 9_973}@thu.example")
        sent = replace(one.submission, content=content, author=author, external_id=f"made-{number}")
        yield Asked(one.site_id, new_id(at), sent, at, comparable(content), ""), one


# ------------------------------------------------------------------ in the browser


def _in_the_browser(newsroom: Seeded, database: str, rounds: int, pause: float) -> Iterator[Row]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="vi")
        context.add_init_script(_WATCH)
        page = context.new_page()
        page.goto(newsroom.link())
        with page.expect_navigation(url="**/queue"):
            page.locator("main button").first.click()
        both = [_first_card(page, pause) for _ in range(WARM_UP + rounds)]
        cards, keys = zip(*both, strict=True)
        yield _row(f"first card, {database}", cards, FIRST_CARD_MS)
        yield _row(f"keys at work, {database}", keys, None)
        page.locator("[data-card]").first.focus()  # beyond campaigns, which are asked about
        yield _row(
            f"next card after a key, {database}",
            [_next_card(page, number) for number in range(WARM_UP + rounds)],
            NEXT_CARD_MS,
        )
        browser.close()


def _first_card(page: Page, pause: float) -> tuple[float, float]:
    page.wait_for_timeout(1000 * pause)
    page.goto(page.url.partition("?")[0].partition("#")[0])
    return _read(page, "window.firstCard"), _read(page, "window.keysWork")


def _next_card(page: Page, number: int) -> float:
    for key in "a" if number % 2 else "rs":
        page.keyboard.press(key)
    return _read(page, "window.took")


def _read(page: Page, what: str) -> float:
    """A number of milliseconds, as soon as the page knows it, be it the one or the next."""
    until = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < until:
        with suppress(Error):  # the page is just leaving
            if found := page.evaluate(what):
                return float(found)
        page.wait_for_timeout(10)
    raise SystemExit(f"nothing was painted within {LONGEST_SECONDS} s")


# ------------------------------------------------------------------ at the server


def _at_the_server(newsroom: Seeded, database: str, rounds: int) -> Iterator[Row]:
    with httpx.Client(
        base_url=newsroom.url, headers={"origin": newsroom.url}, trust_env=False, timeout=120
    ) as http:
        token = newsroom.link().partition("token=")[2]
        http.post("/sign-in", data={"token": token})
        for name, query in QUERIES.items():
            ask = partial(http.get, f"/queue{query}")
            took = [_milliseconds(ask) for _ in range(rounds)]
            yield _row(f"server, {name}, {database}", took, PAGE_MS, warm_up=0)


def _milliseconds(ask: Callable[[], httpx.Response]) -> float:
    started = time.perf_counter()
    answer = ask()
    took = 1000 * (time.perf_counter() - started)
    if answer.status_code != 200:
        raise SystemExit(f"{answer.url.path} answered {answer.status_code}")
    return took


def _row(name: str, took: Sequence[float], goal: int | None, *, warm_up: int = WARM_UP) -> Row:
    kept = sorted(took[warm_up:])
    note = f"p95 {statistics.quantiles(kept, n=20)[-1]:.0f} ms, {len(kept)} times"
    if goal is None:
        return Row(name, "", f"{statistics.median(kept):.0f} ms", None, note)
    return at_most(name, statistics.median(kept), goal, " ms", note=note, digits=0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.desk", description=__doc__)
    parser.add_argument("--data", type=Path, help="labelled files; else those of the project")
    parser.add_argument("--waiting", type=int, default=WAITING, metavar="N")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    parser.add_argument("--pause", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--only", choices=DATABASES)
    options = parser.parse_args()
    databases = [options.only] if options.only else DATABASES
    found = rows(
        options.data,
        waiting=options.waiting,
        rounds=options.rounds,
        pause=options.pause,
        databases=databases,
    )
    print(table(found))
    return 1 if any(row.met is False for row in found) else 0


if __name__ == "__main__":
    sys.exit(main())
