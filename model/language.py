"""Which language a text is in: a small, fast guess for slices and facts.

Knows scripts, and what the files in `model/languages` say of a language: words that give it
away, letters of its own, sentences for visitors. Adding a language is adding a file.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from model.glance import BY_SCRIPT, Lexicon, Telling

SAMPLE = 160  # characters looked at: enough to tell, and what bounds the cost
UNKNOWN = "und"


@dataclass(frozen=True, slots=True)
class Language:
    """What is known of one language.

    `words` are common words, in lower case, that are rare in other languages; `plain_words`
    are those of its words that tell even without diacritics; `own_letters` are letters that
    hardly any other language uses; `messages` maps "field code" to the visitor's sentence,
    `reasons` a reason's code to the moderator's.
    """

    tag: str
    words: frozenset[str]
    plain_words: frozenset[str]
    own_letters: str
    messages: Mapping[str, str]
    reasons: Mapping[str, str]


def _read_languages() -> dict[str, Language]:
    found = {}
    for file in files("model").joinpath("languages").iterdir():
        if file.name.endswith(".json"):
            body = json.loads(file.read_text(encoding="utf-8"))
            found[body["tag"]] = Language(
                tag=body["tag"],
                words=frozenset(body["words"]),
                plain_words=frozenset(body["plain_words"]),
                own_letters=body["own_letters"],
                messages=body["messages"],
                reasons=body["reasons"],
            )
    return dict(sorted(found.items()))


LANGUAGES: Mapping[str, Language] = _read_languages()

# First code point of each block, and the language its letters speak for ("" for none).
_BLOCKS: tuple[tuple[int, str], ...] = (
    (0x0000, ""),
    (0x0370, "el"),
    (0x0400, "ru"),
    (0x0530, "hy"),
    (0x0590, "he"),
    (0x0600, "ar"),
    (0x0700, ""),
    (0x0750, "ar"),
    (0x0780, ""),
    (0x0900, "hi"),
    (0x0980, "bn"),
    (0x0A00, "pa"),
    (0x0A80, "gu"),
    (0x0B00, "or"),
    (0x0B80, "ta"),
    (0x0C00, "te"),
    (0x0C80, "kn"),
    (0x0D00, "ml"),
    (0x0D80, "si"),
    (0x0E00, "th"),
    (0x0E80, "lo"),
    (0x0F00, "bo"),
    (0x1000, "my"),
    (0x10A0, "ka"),
    (0x1100, "ko"),
    (0x1200, "am"),
    (0x13A0, ""),
    (0x1780, "km"),
    (0x1800, "mn"),
    (0x18B0, ""),
    (0x1F00, "el"),
    (0x2000, ""),
    (0x3040, "ja"),
    (0x3100, "zh"),
    (0x3130, "ko"),
    (0x3190, ""),
    (0x31F0, "ja"),
    (0x3200, ""),
    (0x3400, "zh"),
    (0x4DC0, ""),
    (0x4E00, "zh"),
    (0xA000, ""),
    (0xAC00, "ko"),
    (0xD7B0, ""),
    (0xFB1D, "he"),
    (0xFB50, "ar"),
    (0xFE00, ""),
    (0xFE70, "ar"),
    (0xFF00, ""),
    (0xFF66, "ja"),
    (0xFFA0, ""),
    (0x20000, "zh"),
    (0x32000, ""),
)
_STARTS = [start for start, _ in _BLOCKS]
# Letters that one of the languages that share a script has to itself.
_TELLTALES: tuple[tuple[str, frozenset[str], str], ...] = (
    ("ru", frozenset("іїєґІЇЄҐ"), "uk"),
    ("ar", frozenset("پچژگکی"), "fa"),
)
_NOT_LATIN = re.compile(
    r"[^\x00-\u036f\u1e00-\u1eff\u2000-\u2fff\ufe00-\ufe0f\U0001f000-\U0001ffff]+"
)
_PLAIN = "~"  # marks the tag of a word that tells without its diacritics


def _tags_by_word() -> dict[str, str]:
    tags: dict[str, str] = {}
    for tag, language in LANGUAGES.items():
        tags.update(dict.fromkeys(language.words, tag))
        tags.update(dict.fromkeys(language.plain_words, tag + _PLAIN))
    return tags


def _number(tag: str) -> int:
    """What a word says that speaks for a language, as `model.glance.Telling` has it."""
    return 1 + 2 * _TAGS.index(tag.removesuffix(_PLAIN)) + tag.endswith(_PLAIN)


def _letters() -> dict[str, int]:
    whose: dict[str, int] = {}
    for at, language in enumerate(LANGUAGES.values()):
        for letter in language.own_letters:
            whose[letter] = whose.get(letter, 0) | 1 << at
    return whose


_TAGS = (*LANGUAGES, UNKNOWN)  # in order; what is unsure comes last

TELLING = Telling(
    Lexicon({word: _number(tag) for word, tag in _tags_by_word().items()}),
    Lexicon(_letters()),
    len(LANGUAGES),
    SAMPLE,
)
"""What tells languages with a file apart, for `model/glance.c`."""


def language_of(text: str) -> str:
    """The text's language as a tag (`vi`, `en`, `ru`, …), `und` when unsure.

    By script where the script tells; among Latin ones only the languages with a file in
    `model/languages`. Vietnamese without diacritics is recognised when its words are clear.
    Looks at the first `SAMPLE` characters.
    """
    return language_told(TELLING.language_of(text), text)


def language_told(number: int, text: str) -> str:
    """The language of a text, of which a glance told a number."""
    if number == BY_SCRIPT:
        return _by_script("".join(_NOT_LATIN.findall(text[:SAMPLE])))
    return _TAGS[number]


class _Blocks(dict[str, str]):
    """The language that each letter met so far speaks for; "" for none."""

    def __missing__(self, letter: str) -> str:
        tag = self[letter] = _BLOCKS[bisect_right(_STARTS, ord(letter)) - 1][1]
        return tag


_tag_of = _Blocks()


def _by_script(letters: str) -> str:
    # Two dozen letters tell the script; more would only cost.
    tags = [*filter(None, map(_tag_of.__getitem__, letters[:24]))]
    if not tags:
        return UNKNOWN
    if tags.count("ja") * 10 >= len(tags):  # kana among Chinese characters is Japanese
        return "ja"
    tag = max(dict.fromkeys(tags), key=tags.count)
    if tags.count(tag) * 2 <= len(tags):
        return UNKNOWN
    for shared, own, other in _TELLTALES:
        if tag == shared and not own.isdisjoint(letters):
            return other
    return tag
