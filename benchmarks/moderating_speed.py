"""The same 200 comments cleared here and on WordPress' own screen, by keys and by mouse.

    python -m benchmarks.moderating_speed [--data DIR] [--count N] [--pauses SHARE] [--only here]

A script in Chromium does what a person would: it decides each comment as the comment's label
says, and counts keys, clicks and the times the pointer has to travel. Human time is that of the
Keystroke-Level Model for each of those acts; what the machine takes until the next comment can be
seen is measured and added. Reading takes the same time on both, and stands apart. The pauses are
really waited for, or the share of them that `--pauses` gives: WordPress' list loses decisions
that come faster than it answers.

Needs Chromium (scripts/install-browser) and, for WordPress, scripts/install-wordpress.
"""

import argparse
import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, Error, Locator, Page, sync_playwright

from benchmarks.desk import ALL_QUEUED, FLAGS
from benchmarks.seeded import WAVE_MARK, WRITTEN, Comment, Seeded, comments_of, filled
from model.decision import RejectReason
from tests.wordpress.blog import PASSWORD, Blog, running_blog, why_not

COUNT = 200

KEY, POINT, CLICK, THINK = 0.28, 1.10, 0.20, 1.35
"""Seconds for a key (an average typist), a pointing, a press and release of the mouse's button, and
a mental step: Card, Moran and Newell, "The keystroke-level model for user performance time with
interactive systems", Communications of the ACM 23 (7), 1980, the figures of its table of
operators."""

WORDS_A_MINUTE = 238
"""Silent reading of non-fiction: Brysbaert, "How many words do we read per minute?", Journal of
Memory and Language 109, 2019."""

LONGEST_SECONDS = 60
NO_MORE_SECONDS = 2
WINDOW = {"width": 1280, "height": 900}


@dataclass
class Person:
    """Somebody at a page, who counts what they do."""

    page: Page
    pauses: float = 1.0
    did: Counter[str] = field(default_factory=Counter)
    human: float = 0.0
    machine: float = 0.0
    decided: int = 0
    _at: tuple[float, float] = (0.0, 0.0)

    def think(self) -> None:
        """Make up their mind."""
        self._pause(THINK)

    def press(self, keys: str) -> None:
        """Press some keys, one after another."""
        for key in keys.split():
            self.did["keys"] += 1
            self._pause(KEY)
            self.page.keyboard.press(key)

    def click(self, target: Locator) -> None:
        """Click on something, and go there first if the pointer is not there yet."""
        target.scroll_into_view_if_needed()
        box = target.bounding_box()
        assert box is not None, "it is on the page"
        x, y = self._at
        is_there = (
            box["x"] <= x <= box["x"] + box["width"] and box["y"] <= y <= box["y"] + box["height"]
        )
        if not is_there:
            self.did["travels"] += 1
            self._pause(POINT)
            self._at = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            self.page.mouse.move(*self._at)
        self.did["clicks"] += 1
        self._pause(CLICK)
        self.page.mouse.click(*self._at)

    def wait(self, *, until: str, of: str = "") -> str:
        """Wait for what a piece of JavaScript gives to be something else than `of`; what it is."""
        began = time.perf_counter()
        while time.perf_counter() < began + LONGEST_SECONDS:
            with suppress(Error):  # the page is just leaving
                found = self.page.evaluate(until)
                if found != of:
                    self.machine += time.perf_counter() - began
                    return str(found)
            self.page.wait_for_timeout(2)
        raise SystemExit(f"nothing came after {of!r} within {LONGEST_SECONDS} s")

    def _pause(self, seconds: float) -> None:
        self.human += seconds
        if self.pauses:
            self.page.wait_for_timeout(1000 * self.pauses * seconds)


# ------------------------------------------------------------------ here

_CURRENT = "document.activeElement?.closest('[data-card]')?.id ?? ''"
_NEXT = (
    f"({_CURRENT}) || (document.readyState == 'complete' && "
    "!document.querySelector('[data-card]') ? 'none' : '')"
)
_FIRST = "document.querySelector('[data-card]')?.id ?? 'none'"
_CAMPAIGN = ".campaign form.decide"
_STANDING = f"location.href + document.querySelectorAll('{_CAMPAIGN}').length"
_REASON_KEYS = {RejectReason.SPAM: "s", RejectReason.TOXIC: "t"}


def here_by_keys(newsroom: Seeded, person: Person, wanted: dict[str, RejectReason | None]) -> None:
    """Clear the queue by keys alone."""
    current = ""
    while newsroom.store.queue_size(None):
        if not current:
            _campaigns_by_keys(newsroom, person)
            if not newsroom.store.queue_size(None):
                return
            current = str(person.page.evaluate(_CURRENT))
            if not current:
                person.press("j")
                current = person.wait(until=_CURRENT)
        person.think()
        reason = _wanted(newsroom, current, wanted)
        person.press(f"r {_REASON_KEYS[reason]}" if reason else "a")
        current = person.wait(until=_NEXT, of=current)
        current = "" if current == "none" else current
        person.page.wait_for_load_state()


def here_by_mouse(newsroom: Seeded, person: Person, wanted: dict[str, RejectReason | None]) -> None:
    """Clear the queue by clicks alone."""
    current = "none"
    while newsroom.store.queue_size(None):
        if current == "none":
            _campaigns_by_mouse(newsroom, person)
            if not newsroom.store.queue_size(None):
                return
            current = person.wait(until=_FIRST, of="none")
        person.think()
        reason = _wanted(newsroom, current, wanted)
        what = f"[data-reject={_REASON_KEYS[reason]}]" if reason else "[data-accept]"
        person.click(person.page.locator(f"[id='{current}'] {what}"))
        current = person.wait(until=_FIRST, of=current)
        person.page.wait_for_load_state()


def _campaigns_by_keys(newsroom: Seeded, person: Person) -> None:
    """Open the queue, and settle its campaigns by keys, with the one that says yes."""
    page = person.page
    page.goto(f"{newsroom.url}/queue")
    if page.locator(_CAMPAIGN).count():
        person.press("j")
    while (forms := page.locator(_CAMPAIGN)).count():
        is_spam = WAVE_MARK in forms.first.locator("xpath=..").inner_text()
        person.think()
        before = page.evaluate(_STANDING)
        person.press("r s" if is_spam else "a")
        person.think()
        person.press("Enter")
        person.wait(until=_STANDING, of=before)
        page.wait_for_load_state()


def _campaigns_by_mouse(newsroom: Seeded, person: Person) -> None:
    """Open the queue, and settle its campaigns, each by one click."""
    page = person.page
    page.goto(f"{newsroom.url}/queue")
    while (forms := page.locator(_CAMPAIGN)).count():
        form = forms.first
        is_spam = WAVE_MARK in form.locator("xpath=..").inner_text()
        person.think()
        before = page.evaluate(_STANDING)
        person.click(form.locator(f"[value={'spam' if is_spam else 'accept'}]"))
        person.wait(until=_STANDING, of=before)
        page.goto(f"{newsroom.url}/queue")


def _wanted(
    newsroom: Seeded, card: str, wanted: dict[str, RejectReason | None]
) -> RejectReason | None:
    comment = newsroom.store.comment(None, card.removeprefix("c-"))
    return wanted[comment.submission.external_id] if comment else RejectReason.SPAM


# ------------------------------------------------------------------ WordPress

_ROW = "document.querySelector('#the-comment-list tr.vim-current:not(.undo)')?.id ?? ''"
_FIRST_ROW = (
    "[...document.querySelectorAll('#the-comment-list tr.unapproved')]"
    ".find((row) => row.checkVisibility() && getComputedStyle(row).opacity == 1)?.id ?? 'none'"
)
_WP_KEYS = {RejectReason.SPAM: "s", RejectReason.TOXIC: "d", None: "a"}
_WP_LINKS = {RejectReason.SPAM: ".spam a", RejectReason.TOXIC: ".trash a", None: ".approve a"}

_INSERT = """
foreach ( json_decode( file_get_contents( '%s' ), true ) as $one ) {
    $told = array_map( 'wp_slash', $one );
    echo wp_insert_comment( $told + array( 'comment_post_ID' => 1, 'comment_approved' => 0 ) ), ' ';
}
"""


def _posted(blog: Blog, told: Sequence[Comment]) -> dict[str, RejectReason | None]:
    """Have the comments wait on a WordPress; by the id of their row, what they are."""
    file = blog.root.parent / "comments.json"
    rows = [
        {
            "comment_author": one.submission.author.name,
            "comment_author_email": one.submission.author.email,
            "comment_author_url": one.submission.author.url,
            "comment_author_IP": one.submission.author.ip,
            "comment_content": one.submission.content,
            "comment_date": f"2026-01-{1 + place // 60 % 28:02} 08:{place % 60:02}:00",
            "comment_date_gmt": f"2026-01-{1 + place // 60 % 28:02} 08:{place % 60:02}:00",
        }
        for place, one in enumerate(told)
    ]
    file.write_text(json.dumps(rows))
    ids = blog.run(_INSERT % file).split()
    return {f"comment-{id_}": one.reason for id_, one in zip(ids, told, strict=True)}


def _left(blog: Blog) -> int:
    [[left]] = blog.query("SELECT COUNT(*) FROM wp_comments WHERE comment_approved = '0'")
    return int(left)


def _moderated(blog: Blog, person: Person) -> None:
    person.page.goto(f"{blog.url}/wp-admin/edit-comments.php?comment_status=moderated")
    person.page.wait_for_load_state("networkidle")


def wordpress_by_keys(blog: Blog, person: Person, told: Sequence[Comment]) -> None:
    """Clear WordPress' list of pending comments with its own keyboard shortcuts."""
    wanted = _posted(blog, told)
    blog.run("update_user_meta( 1, 'comment_shortcuts', 'true' );")
    _moderated(blog, person)
    person.press("j")
    current = person.wait(until=_ROW)
    while True:
        person.think()
        person.press(_WP_KEYS[wanted[current]])
        if not (current := _after(person, _ROW, current)):
            if not _left(blog):
                return
            person.press("F5")
            _moderated(blog, person)
            person.press("j")
            current = person.wait(until=_ROW)


def wordpress_by_mouse(blog: Blog, person: Person, told: Sequence[Comment]) -> None:
    """Clear WordPress' list of pending comments with the links that appear under the pointer."""
    wanted = _posted(blog, told)
    blog.run("update_user_meta( 1, 'comment_shortcuts', 'false' );")
    _moderated(blog, person)
    current = person.wait(until=_FIRST_ROW, of="none")
    while True:
        person.think()
        row = person.page.locator(f"#{current}")
        row.hover(position={"x": 300, "y": 10})  # the links appear; the way on to one is counted
        person.click(row.locator(_WP_LINKS[wanted[current]]))
        if not (current := _after(person, _FIRST_ROW, current)):
            if not _left(blog):
                return
            person.press("F5")
            _moderated(blog, person)
            current = person.wait(until=_FIRST_ROW, of="none")


def _after(person: Person, ask: str, current: str) -> str:
    """The row that comes next; "" when none does, and the list has to be asked for again."""
    began = time.perf_counter()
    while time.perf_counter() < began + NO_MORE_SECONDS:
        found = str(person.page.evaluate(ask))
        if found not in ("", "none", current):
            person.machine += time.perf_counter() - began
            return found
        person.page.wait_for_timeout(2)
    person.page.wait_for_load_state("networkidle")
    person.page.wait_for_timeout(500)
    return ""


# ------------------------------------------------------------------ runs


@contextmanager
def _somebody(browser: Browser, pauses: float) -> Iterator[Person]:
    context = browser.new_context(viewport=WINDOW, locale="en")  # type: ignore[arg-type]  # a size
    yield Person(context.new_page(), pauses)
    context.close()


def _here(browser: Browser, told: Sequence[Comment], pauses: float) -> Iterator[tuple[str, Person]]:
    wanted = {one.submission.external_id: one.reason for one in told}
    for name, clear in (("here, keys", here_by_keys), ("here, mouse", here_by_mouse)):
        with (
            tempfile.TemporaryDirectory() as folder,
            filled(Path(folder), told, policies=[ALL_QUEUED] * 3) as newsroom,
            _somebody(browser, pauses) as person,
        ):
            newsroom.service.start()
            person.page.goto(newsroom.link())
            with person.page.expect_navigation(url="**/queue"):
                person.page.locator("main button").first.click()
            clear(newsroom, person, wanted)
            person.decided = len(told) - newsroom.store.queue_size(None)
            yield name, person


def _wordpress(
    browser: Browser, told: Sequence[Comment], pauses: float
) -> Iterator[tuple[str, Person]]:
    with tempfile.TemporaryDirectory() as folder, running_blog(Path(folder), "") as blog:
        # Its own pictures of people are on another host, which is not asked from here.
        blog.run("update_option( 'active_plugins', array() ); update_option( 'show_avatars', 0 );")
        (blog.root / "wp-content" / "mu-plugins" / "duyet.php").unlink()
        blog.query("DELETE FROM wp_comments")
        ways = (
            ("WordPress, its keys", wordpress_by_keys),
            ("WordPress, mouse", wordpress_by_mouse),
        )
        for name, clear in ways:
            with _somebody(browser, pauses) as person:
                person.page.goto(f"{blog.url}/wp-login.php")
                person.page.locator("#user_login").fill("admin")
                person.page.locator("#user_pass").fill(PASSWORD)
                with person.page.expect_navigation():
                    person.page.locator("#wp-submit").click()
                clear(blog, person, told)
                person.page.wait_for_timeout(2000)  # the last answers are still on their way
                person.decided = len(told) - _left(blog)
                yield name, person


def _told(name: str, person: Person) -> str:
    count = max(1, person.decided)
    did = [person.did[what] for what in ("keys", "clicks", "travels")]
    each = (f"{number} ({number / count:.2f})" for number in did)
    total = person.human + person.machine
    return (
        f"| {name} | {person.decided} | {' | '.join(each)} | {person.human:.0f} |"
        f" {person.machine:.0f} | {total:.0f} ({total / count:.2f}) |"
    )


HEAD = """\
| way | decided | keys (each) | clicks (each) | travels (each) | human, s | machine, s | s (each) |
| --- | --- | --- | --- | --- | --- | --- | --- |"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.moderating_speed")
    parser.add_argument("--data", type=Path, help="labelled files; else those of the project")
    parser.add_argument("--count", type=int, default=COUNT, metavar="N")
    parser.add_argument("--pauses", type=float, default=1.0, metavar="SHARE")
    parser.add_argument("--only", choices=("here", "wordpress"))
    options = parser.parse_args()
    told = comments_of(options.data or WRITTEN, options.count)
    words = sum(len(one.submission.content.split()) for one in told)
    if options.only != "here" and (missing := why_not()):
        raise SystemExit(f"there is no WordPress: {missing}")
    print(f"{len(told)} comments, {sum(one.reason is not None for one in told)} to be rejected;")
    print(f"reading {words:,} words takes {60 * words / WORDS_A_MINUTE:.0f} s more, everywhere\n")
    print(HEAD)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for part, runs in (("here", _here), ("wordpress", _wordpress)):
            if options.only in (None, part):
                for name, person in runs(browser, told, options.pauses):
                    print(_told(name, person), flush=True)
        browser.close()


if __name__ == "__main__":
    main()
