"""Looks at a page as tests of all pages do: what axe says, what is too wide, too small, unseen.

Knows no page. What it measures it gives back as words; to judge is for the test.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from playwright.sync_api import Page, Response

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
NARROWEST = 320
"""WCAG 1.4.10: 1280 at 400 %, and the smallest phone."""

ZOOMED = 640
"""1280 at 200 % (WCAG 1.4.4)."""

_AXE = """async ([tags, rules]) => (await axe.run(document, {
    runOnly: rules.length ? {type: 'rule', values: rules} : {type: 'tag', values: tags},
    resultTypes: ['violations'],
})).violations.flatMap((broken) => broken.nodes.map((node) =>
    `${broken.id}: ${node.target} ${node.html.slice(0, 200)} ${node.failureSummary}`))"""

_WIDE = """() => {
    const room = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= room) return [];
    const wide = [...document.body.querySelectorAll("*")].filter((one) => one.checkVisibility()
        && one.getBoundingClientRect().right > room + 0.5);
    return [`${document.documentElement.scrollWidth} for ${room}`, ...wide.slice(0, 5).map((one) =>
        `${one.tagName}.${one.className} ${Math.round(one.getBoundingClientRect().right)}`)];
}"""

# WCAG 2.5.8: links within a sentence are excepted, and a label is as good as its box.
_SMALL = """() => [...document.querySelectorAll(
        "a, button, summary, select, textarea, input:not([type=hidden]), [role=button], [tabindex='0']")]
    .filter((one) => one.checkVisibility({visibilityProperty: true}) && !one.closest(".skip"))
    .filter((one) => !(one.tagName === "A" && one.closest("p, dd, li, td, th, figcaption")
        && getComputedStyle(one).display === "inline"))
    .map((one) => [one, (["checkbox", "radio"].includes(one.type) && one.closest("label")) || one])
    .map(([one, target]) => [one, target.getBoundingClientRect()])
    .filter(([, box]) => box.width < 24 || box.height < 24)
    .map(([one, box]) => `${one.tagName} ${one.id || one.name || one.textContent.trim().slice(0, 40)}`
        + ` ${Math.round(box.width)}×${Math.round(box.height)}`)"""

# Each in turn takes the focus as after a key; what it looks like must change.
_UNSEEN = """() => {
    const looks = (one) => { const s = getComputedStyle(one); return [s.outlineStyle, s.outlineWidth,
        s.outlineColor, s.boxShadow, s.backgroundColor, s.borderColor, s.textDecorationLine].join(); };
    const stops = [...document.querySelectorAll(
        "a[href], button, summary, select, textarea, input:not([type=hidden]), [tabindex='0']")]
        .filter((one) => one.checkVisibility({visibilityProperty: true}) && !one.disabled).slice(0, 60);
    return stops.filter((one) => {
        document.activeElement?.blur();
        const before = looks(one);
        one.focus({preventScroll: true, focusVisible: true});
        return document.activeElement === one && looks(one) === before;
    }).map((one) => `${one.tagName} ${one.id || one.textContent.trim().slice(0, 40)}`);
}"""

# A character that turns or hides what follows must not be on a page but as part of an isolate.
_BARE = """() => {
    const bad = /[\\u202a-\\u202e\\u200b\\u2060\\ufeff\\u00ad]/;
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) if (bad.test(walker.currentNode.data)) found.push(
        `${walker.currentNode.parentElement.tagName}: ${JSON.stringify(walker.currentNode.data.slice(0, 60))}`);
    return found;
}"""

_FOREIGN = """() => [...document.querySelectorAll(
        "img, svg, iframe, object, embed, video, audio, style, base, meta[http-equiv], "
        + "script, link, form, a, button, [style], [onerror], [onload], [onclick]")]
    .filter((one) => {
        const at = one.getAttribute("src") ?? one.getAttribute("href")
            ?? one.getAttribute("formaction") ?? one.getAttribute("action") ?? "";
        if (one.getAttributeNames().some((name) => name.startsWith("on") || name === "style")) return true;
        if (["A"].includes(one.tagName)) return at !== "" && !/^(https?:|\\/|\\?|#|mailto:)/i.test(at);
        if (["SCRIPT", "LINK", "FORM", "BUTTON"].includes(one.tagName))
            return at !== "" && new URL(at, location.href).origin !== location.origin;
        if (one.closest("[data-plot], figure") && ["svg", "IMG"].includes(one.tagName)) return false;
        return !(one.tagName === "svg" && one.getAttribute("aria-hidden") === "true");
    }).map((one) => one.outerHTML.slice(0, 120))"""

_TEXTS = """() => {
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const text = walker.currentNode.data.trim();
        const parent = walker.currentNode.parentElement;
        if (text && !parent.closest("[translate=no], [lang]:not(html), kbd, bdi, script, time, code"))
            found.push(text);
    }
    for (const one of document.querySelectorAll("[aria-label], [title], [placeholder], input[type=submit]"))
        if (!one.closest("[translate=no], [lang]:not(html)"))
            found.push(...["aria-label", "title", "placeholder", "value"].map((n) => one.getAttribute(n))
                .filter((text) => text?.trim()));
    return found;
}"""


@cache
def _axe() -> str:
    return files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")


def axe(page: Page, *rules: str) -> list[str]:
    """What axe has against a page, by some rules only if any are named; [] for nothing."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(_axe())
    found: list[str] = page.evaluate(_AXE, [RULES, list(rules)])
    return found


@dataclass
class Seen:
    """A page that was looked at. Each list names what is wrong; [] is good."""

    status: int
    is_page: bool
    axe: list[str] = field(default_factory=list)
    wide: list[str] = field(default_factory=list)
    small: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)


def opened_up(page: Page) -> None:
    """Open whatever can be opened on a page without leaving it."""
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")


def look(page: Page, answer: Response | None, *, schemes: Sequence[str]) -> Seen:
    """Look at what a page shows now, in the first of these colour schemes; at colours in all."""
    kind = (answer.headers.get("content-type", "") if answer else "text/html").partition(";")[0]
    seen = Seen(answer.status if answer else 200, kind == "text/html")
    if not seen.is_page:
        return seen
    opened_up(page)
    seen.axe = axe(page)
    for scheme in schemes[1:]:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # "light" or "dark"
        seen.axe += axe(page, "color-contrast")
    page.emulate_media(color_scheme=schemes[0])  # type: ignore[arg-type]
    seen.small = page.evaluate(_SMALL)
    page.keyboard.press("Tab")  # from now on the focus is moved by keys
    seen.unseen = page.evaluate(_UNSEEN)
    seen.foreign = page.evaluate(_FOREIGN)
    seen.bare = page.evaluate(_BARE)
    seen.wide = too_wide(page)
    return seen


def words_of(page: Page) -> list[str]:
    """The sentences and words of ours that a page shows or reads out."""
    if not page.locator("main").count():
        return []
    opened_up(page)
    found: list[str] = page.evaluate(_TEXTS)
    return found


def too_wide(page: Page) -> list[str]:
    """What sticks out sideways, at the size the page has, zoomed, and on the smallest phone."""
    size = page.viewport_size
    assert size is not None, "a page of ours has one"
    found: list[str] = page.evaluate(_WIDE)
    for width in (ZOOMED, NARROWEST):
        page.set_viewport_size({"width": width, "height": size["height"]})
        found += page.evaluate(_WIDE)
    page.set_viewport_size(size)
    return found


Act = Callable[[Page], None]
"""What a test does on a page before it looks."""
