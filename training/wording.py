"""The words of a report in a language, and how it writes numbers.

The texts lie in words/LANGUAGE.json, each under the same keys. Knows no figure.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

LANGUAGES = ("en", "vi")

_MARKS = {"en": (",", "."), "vi": (".", ",")}  # between thousands, before decimals
_MINUS = "\u2212"
NO_BREAK = "\u00a0"


@dataclass(frozen=True, slots=True)
class Words:
    """What a page says in one language."""

    language: str
    texts: dict[str, str] = field(repr=False)

    def __call__(self, key: str, **values: str) -> str:
        """The text of that key with its values, which are texts already. KeyError if none."""
        return self.texts[key].format(**values)

    def known(self, key: str, otherwise: str) -> str:
        """The text of that key, or what is to stand there when the language has none."""
        return self.texts.get(key, otherwise)

    def number(self, value: float, decimals: int = 0) -> str:
        """A number, with the language's marks between thousands and before decimals."""
        thousands, point = _MARKS[self.language]
        written = f"{abs(value):,.{decimals}f}"
        sign = _MINUS if value < 0 and float(f"{value:.{decimals}f}") else ""
        return sign + written.translate({ord(","): thousands, ord("."): point})

    def change(self, value: float, decimals: int = 0) -> str:
        """A number with its sign, plus as well; no sign for what is written as nought."""
        written = self.number(value, decimals)
        return f"+{written}" if value > 0 and float(f"{value:.{decimals}f}") else written

    def percent(self, share: float | None) -> str:
        """A share as a percentage, "–" for none; small ones with two decimals."""
        if share is None:
            return "–"
        return f"{self.number(100 * share, _decimals(share))}{NO_BREAK}%"

    def risk(self, share: float) -> str:
        """A share that somebody stated, with no more decimals than it has, and two at most."""
        written = f"{100 * share:.2f}".rstrip("0")
        return f"{self.number(100 * share, len(written.partition('.')[2]))}{NO_BREAK}%"


def words_in(language: str) -> Words:
    """The words of a language of LANGUAGES. Raises KeyError for another."""
    if language not in LANGUAGES:
        raise KeyError(language)
    path = Path(__file__).parent / "words" / f"{language}.json"
    return Words(language, json.loads(path.read_text("utf-8")))


def _decimals(share: float) -> int:
    percent = abs(100 * share)
    return 0 if percent in (0, 100) else 2 if percent < 1 or percent > 99 else 1
