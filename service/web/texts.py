"""What the pages say in each language, and which language a visitor is spoken to in.

Knows `service/web/languages`: a directory for each language, and in it a file for each part of
the pages. What a reason
means is worded in `model.reasons`, next to the codes.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from string import Formatter

from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import Response

from model.form import visitor_language

COOKIE = "duyet_language"
DEFAULT = "en"
_YEAR_SECONDS = 365 * 24 * 3600
_COMMAS = str.maketrans(",.", ".,")
_PERCENT, _KEPT = re.compile(r" %(?![a-zA-Z])"), "\N{NO-BREAK SPACE}%"  # "%H" is a part of a time


@dataclass(frozen=True, slots=True)
class Texts:
    """One language's sentences. `tag` is its BCP 47 tag, `name` what it calls itself."""

    tag: str
    name: str
    sentences: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """The sentence, its placeholders filled in. Raises KeyError if there is none.

        Words are set apart by isolates, so that a name in a right-to-left script does not turn
        the sentence around it; whole numbers are written as `number` does.
        `{n:comment|comments}` is the first word for one, else the other.
        """
        return self.sentences[key].format_map(self._said(values))

    def marked(self, key: str, **values: object) -> Markup:
        """The same for a page: what is markup among the values stays so, as a `moment` is."""
        return escape(self.sentences[key]).format_map(self._said(values))

    def _said(self, values: Mapping[str, object]) -> dict[str, object]:
        return {
            name: _Said(value, self)
            if isinstance(value, int | str) and not isinstance(value, Markup)
            else value
            for name, value in values.items()
        }

    def number(self, value: float, decimals: int = 0) -> str:
        """A number with so many decimals, its thousands set apart: 1,164.5 or 1.164,5."""
        text = f"{value:,.{decimals}f}"
        return text.translate(_COMMAS) if self.sentences["number.point"] == "," else text

    def for_scripts(self, *families: str) -> dict[str, str]:
        """The sentences of some families as they are, for scripts to fill in: "{who}", "{n}"."""
        return {
            key: sentence.format_map(
                {name: _Said(f"{{{name}}}", self) for name in _words_in(sentence)} | _NUMBER
            )
            for key, sentence in self.sentences.items()
            if key.startswith(families)
        }

    def time(self, at: datetime) -> str:
        """A moment in words, in UTC."""
        return self.sentences["time"].format(at=at.astimezone(UTC))

    def moment(self, at: datetime) -> Markup:
        """A moment in words that a script turns into the reader's own time (queue-times.js)."""
        made = Markup('<time datetime="{}">{}</time>')
        return made.format(at.astimezone(UTC).isoformat(timespec="seconds"), self.time(at))

    def age(self, since: timedelta) -> str:
        """How long ago, in one unit; a moment to come counts as now."""
        minutes = max(0, since // timedelta(minutes=1))
        for name, size in (("days", 1440), ("hours", 60), ("minutes", 1)):
            if minutes >= size:
                return self.sentences[f"age.{name}"].format(n=minutes // size)
        return self.sentences["age.now"]


@dataclass(frozen=True, slots=True)
class _Said:
    """A number or words as a sentence holds them."""

    value: int | str
    texts: Texts

    def __format__(self, spec: str) -> str:
        one, is_counted, more = spec.partition("|")
        if is_counted:
            return one if str(self.value) == "1" else more
        if isinstance(self.value, str):
            return format(f"\u2068{self.value}\u2069", spec)
        return format(self.value, spec) if spec else self.texts.number(self.value)


class _AsItIs:
    """Stands for a number that a script fills in, and needs no isolates."""

    def __format__(self, spec: str) -> str:
        return f"{{n:{spec}}}" if spec else "{n}"


_NUMBER: dict[str, object] = {"n": _AsItIs()}


def _words_in(sentence: str) -> set[str]:
    """The placeholders of words; "n" is a number's."""
    return {name for _, name, _, _ in Formatter().parse(sentence) if name} - _NUMBER.keys()


def _read() -> dict[str, Texts]:
    found = {}
    for directory in files("service.web").joinpath("languages").iterdir():
        if directory.is_dir():
            parts = {file.name: json.loads(file.read_text("utf-8")) for file in directory.iterdir()}
            language = parts.pop("language.json")
            sentences: dict[str, str] = {}
            for part in parts.values():
                sentences |= part
            # A number and its sign stay on one line.
            sentences = {key: _PERCENT.sub(_KEPT, said) for key, said in sentences.items()}
            found[language["tag"]] = Texts(language["tag"], language["name"], sentences)
    return dict(sorted(found.items()))


TEXTS: Mapping[str, Texts] = _read()


def asked_language(request: Request) -> str:
    """The language that the address itself asks for (`?lang=vi`); "" for none we speak."""
    tag = request.query_params.get("lang", "")
    return tag if tag in TEXTS else ""


def texts_for(request: Request) -> Texts:
    """The texts for a visitor: as asked for, as chosen before, or as the browser prefers."""
    for tag in (asked_language(request), request.cookies.get(COOKIE, "")):
        if tag in TEXTS:
            return TEXTS[tag]
    preferred = visitor_language(request.headers.get("accept-language", ""), "")
    return TEXTS.get(preferred, TEXTS[DEFAULT])


def remember_language(response: Response, tag: str) -> None:
    """Have the browser ask for a language from now on; for none that we speak it stays as it is."""
    if tag in TEXTS:
        response.set_cookie(
            COOKIE, tag, max_age=_YEAR_SECONDS, path="/", httponly=True, samesite="lax"
        )
