"""What a glance tells once more, slowly and plainly, to compare `model/glance.c` with.

Takes from the model its words, its bounds and what a single character is (`model.text`), which
have tests of their own; all else is done anew in Python and by the standard library.
"""

import re
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from unicodedata import normalize

from model import asking
from model.language import _BLOCKS, _STARTS, _TELLTALES, LANGUAGES, SAMPLE, UNKNOWN
from model.signs import _MEASURES
from model.text import belongs_to_what_is_before, is_disguised, is_invisible

# ------------------------------------------------------------------ language

_NOT_LATIN = re.compile(
    r"[^\x00-\u036f\u1e00-\u1eff\u2000-\u2fff\ufe00-\ufe0f\U0001f000-\U0001ffff]+"
)
_NOT_TEXT = re.compile(r"https?://\S+|www\.\S+|<[^<>]{1,200}>|\S+@\S+")
_BETWEEN_WORDS = re.compile(r"[.,;:!?\"()\[\]{}<>*/\\|_=+~…“”–—-]")  # beside blanks
_OWN_LETTERS = {
    tag: re.compile(f"[{language.own_letters}]")
    for tag, language in LANGUAGES.items()
    if language.own_letters
}


def language_of(text: str) -> str:
    sample = text[:SAMPLE]
    foreign = "".join(_NOT_LATIN.findall(sample))
    if foreign and len(foreign) * 4 > len(sample):
        return by_script(foreign)
    sample = normalize("NFC", sample)
    if "/" in sample or "@" in sample or "www." in sample:
        sample = _NOT_TEXT.sub(" ", sample)
    return by_words(sample.lower().replace("’", "'"))


def by_script(letters: str) -> str:
    # Two dozen letters tell the script; more would only cost.
    counted = Counter(
        [_BLOCKS[bisect_right(_STARTS, ord(letter)) - 1][1] for letter in letters[:24]]
    )
    counted.pop("", None)
    if not counted:
        return UNKNOWN
    if counted["ja"] * 10 >= counted.total():  # kana among Chinese characters is Japanese
        return "ja"
    tag, count = counted.most_common(1)[0]
    if count * 2 <= counted.total():
        return UNKNOWN
    for shared, own, other in _TELLTALES:
        if tag == shared and not own.isdisjoint(letters):
            return other
    return tag


def by_words(sample: str) -> str:
    words = _BETWEEN_WORDS.sub(" ", sample).split()
    found = sorted((hits(sample, words, tag), tag) for tag in LANGUAGES)
    best, tag = found[-1]
    runner_up = found[-2][0] if len(found) > 1 else 0
    is_enough = best * 7 >= len(words) and (best > 1 or best * 2 >= len(words))
    return tag if best and is_enough and best * 2 >= runner_up * 3 else UNKNOWN


def telling(word: str) -> str:
    """The tag of the last language that knows a word, with "~" where it is a plain one."""
    found = ""
    for tag, language in LANGUAGES.items():
        found = tag if word in language.words else found
        found = f"{tag}~" if word in language.plain_words else found
    return found


def hits(sample: str, words: Sequence[str], tag: str) -> int:
    told = Counter(map(telling, words))
    known, plain = told[tag], told[f"{tag}~"]
    own = _OWN_LETTERS.get(tag)
    with_own = len(own.findall(sample)) if own else 0
    if with_own:
        return max(known + plain, with_own)
    return plain if plain > 1 else 0 if own else known


# ------------------------------------------------------------------ what hides


def hiding(text: str, language: str) -> tuple[int, int, int]:
    """How many characters hide something, how many are disguised, the longest run of marks."""
    marks = re.findall("m+", "".join("m" if category(c) in {"Mn", "Me"} else " " for c in text))
    is_wide = language in {"ja", "zh", "ko"}
    disguised = [c for c in text if is_disguised(c) and not (is_wide and "\uff00" <= c <= "\uff5e")]
    return invisible(text), len(disguised), max(map(len, marks), default=0)


category = unicodedata.category


def invisible(text: str) -> int:
    common = _DIRECTION_MARKS if is_right_to_left(text) else ""
    common += "\u2800" if any("\u2801" <= c <= "\u28ff" for c in text) else ""
    return sum(
        not (character in common or needs(shown, previous, character))
        for shown, previous, character in hidden(text.removeprefix("\ufeff"))
    )


def hidden(text: str) -> Iterator[tuple[str, str, str]]:
    """Each invisible character that is not ASCII, after the last letter or symbol that shows
    and the character right before it."""
    shown = previous = " "
    for character in text:
        if is_invisible(character):
            if not character.isascii():
                yield shown, previous, character
        elif category(character) != "Mn":  # a mark belongs to its letter
            shown = character
        previous = character


def needs(shown: str, previous: str, character: str) -> bool:
    """Whether what shows may need an invisible character after it: one selector each, joiners
    between emoji and in scripts whose letters they join, and the tags of a flag."""
    if character in _SELECTORS:
        return not is_invisible(previous)
    if shown == _FLAG:
        return "\U000e0020" <= character <= "\U000e007f"
    single = not is_invisible(previous) or previous in _SELECTORS
    return single and not (shown.isascii() or shown.isspace() or is_plain_letter(shown))


_SELECTORS = "\ufe0e\ufe0f"
_DIRECTION_MARKS = "\u061c\u200e\u200f\u2066\u2067\u2068\u2069"
_FLAG = "\U0001f3f4"


def is_right_to_left(text: str) -> bool:
    return any(
        unicodedata.bidirectional(c) in {"R", "AL"} and c not in "\u200f\u061c" for c in set(text)
    )


def is_plain_letter(character: str) -> bool:
    """Whether it is a letter of a script that joins nothing by invisible characters."""
    return unicodedata.name(character, "").startswith(("LATIN", "GREEK", "CYRILLIC"))


# ------------------------------------------------------------------ asking


def asking_signs(text: str) -> Iterator[str]:
    words = _WORD.findall(normalize("NFC", text[: asking.CHARACTERS]).lower())
    asked = list(requests(words))
    yield f"asks:{min(len(asked), 2)}"
    if asked and _OPENERS.issuperset(words[: asked[0]]):
        yield "asks first"
    if any(is_own(words, at) for at, word in enumerate(words) if word in asking._OWNED):
        yield "asks for own"
    if not asking._PLEASE.isdisjoint(words):
        yield "asks please"


_WORD = re.compile(r"\w+|[.!?,;:*>(\n-]")
_OPENERS = frozenset(".!?,;:*>(\n-") | asking._CALLS


def requests(words: Sequence[str]) -> Iterator[int]:
    """Where requests begin."""
    for at, word in enumerate(words):
        is_verb = word in asking._VERBS or " ".join(words[at : at + 2]) in asking._VERBS_OF_TWO
        if is_verb and (at == 0 or words[at - 1] in _OPENERS):
            yield at


def is_own(words: Sequence[str], at: int) -> bool:
    after = words[at + 1 : at + 3]
    after = after[1:] if after[:1] == ["của"] else after[:1]
    before = words[max(at - 3, 0) : at]
    return not (asking._MINE_BEFORE.isdisjoint(before) and asking._MINE_AFTER.isdisjoint(after))


# ------------------------------------------------------------------ signs


def content_signs(text: str, counts: Sequence[int]) -> tuple[str, ...]:
    """The signs of what a text says; `counts` are those of `model.letters.COUNTED`."""
    letters, digits, number, capitals, symbols, lines = counts
    measured = (
        *(letters, digits / max(letters, 1), number, capitals / max(letters, 1), symbols, lines),
        *(sum(map(text.count, those)) for those in ("!！", "?？", "@＠", "#＃", "$€£₫%")),
    )
    return (
        *(
            f"{name}:{bisect_right(bounds, value)}"
            for (name, bounds), value in zip(_MEASURES.items(), measured, strict=True)
        ),
        *(name for name, pattern in _PATTERNS.items() if pattern.search(text)),
        *asking_signs(text),
    )


_PATTERNS = {
    "anchor": re.compile(r"<a\s", re.I),
    "bbcode": re.compile(r"\[(?:url|link)[\]=\s]", re.I),
}


# ------------------------------------------------------------------ spans


def whole_characters(text: str, start: int, end: int) -> tuple[int, int]:
    """A range widened so that it cuts no letter from its marks or joiners."""
    while 0 < start < len(text) and clings(text[start - 1], text[start]):
        start -= 1
    while end < len(text) and clings(text[end - 1], text[end]):
        end += 1
    return start, end


def clings(before: str, character: str) -> bool:
    is_plain = " " <= character <= "~"
    return before == "\u200d" or (not is_plain and belongs_to_what_is_before(character))
