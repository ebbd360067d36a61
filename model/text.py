"""How a text reads: look-alikes, marks and invisible characters undone, with the way back.

Every character of a reading knows the code point of the original it came from; what is found in
it can then be shown in the original. Cost is linear in the length of the text.
"""

import json
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from itertools import accumulate
from threading import RLock

import numpy as np
from numpy.typing import NDArray

LETTER, DIGIT, BLANK, SIGN, STOP, LINE, UPPER, LOWER, SYMBOL = (1 << bit for bit in range(9))
"""What a character of a reading may be; a character may be several.

A letter is what belongs to a word, marks and ideographs too; `SIGN` what may stand for a letter
in leet, `STOP` what may end a sentence, `LINE` what ends a line, `SYMBOL` an emoji or a sign like
it. `UPPER` and `LOWER` tell the case of the character as typed.
"""

Codes = NDArray[np.uint32]


def code_points(text: str) -> Codes:
    """The code points of a text, lone surrogates among them."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def readable(text: str) -> str:
    """A text as it reads, as a string, every digit as 0: for comparing texts."""
    return text.translate(_readable_of)


def comparable(text: str) -> str:
    """What equal texts are found by: as it reads, without anything that is no letter or digit."""
    return text.translate(_comparable_of)


def plain(character: str) -> str:
    """What a character reads as, without marks: no letter, one or several."""
    return _plain_of[ord(character)]


def marked(character: str) -> str:
    """What a character reads as, Latin letters with their marks."""
    return _marked_of[ord(character)]


_NO_LETTER = re.compile(r"[\W_]+")  # what `str.isalnum` is not true of
_NOUGHTS = str.maketrans("123456789", "0" * 9)


def whole_characters(text: str, start: int, end: int) -> tuple[int, int]:
    """A range of code points widened so that it cuts no letter from its marks or joiners."""
    size = len(text)
    while 0 < start < size and _clings(text[start - 1], text[start]):
        start -= 1
    while end < size and _clings(text[end - 1], text[end]):
        end += 1
    return start, end


def _clings(before: str, character: str) -> bool:
    """Whether a character belongs to the one before it, to the eye."""
    return before == "\u200d" or (
        not (" " <= character <= "~") and belongs_to_what_is_before(character)
    )


@lru_cache(maxsize=4096)
def belongs_to_what_is_before(character: str) -> bool:
    """Whether a character is a mark, composes with the one before it, or shows nothing."""
    return (
        unicodedata.category(character) in {"Mn", "Mc", "Me"}
        or character in _COMPOSING
        or is_invisible(character)
    )


def is_invisible(character: str) -> bool:
    """Whether a character shows nothing: controls, format characters, fillers, selectors."""
    code = ord(character)
    if unicodedata.category(character) in {"Cc", "Cf"}:
        return not character.isspace() and code not in _SHOWN_FORMATS
    # The last range holds all tags and variation selectors, and is reserved for more.
    return code in _FILLERS or 0xFE00 <= code <= 0xFE0F or 0xE0000 <= code <= 0xE0FFF


def is_disguised(character: str) -> bool:
    """Whether a character only stands for an ASCII letter or digit: 𝐚, ａ, ⓐ, 🄰.

    Vietnamese letters are themselves, and so are Cyrillic and Greek ones. What is written for
    its own sake is no disguise: ™ and №, the digits of H₂O and m³, the ① of a list.
    """
    if character.isascii():
        return False
    plain = unicodedata.normalize("NFKC", character)
    if len(plain) != 1 or not plain.isascii() or not plain.isalnum() or character in "ªº":
        return False
    kind = unicodedata.decomposition(character).partition(" ")[0]
    return plain.isalpha() or kind not in {"<super>", "<sub>", "<circle>"}


# Hangul and Khmer fillers, the braille blank, the combining grapheme joiner, the selectors of
# Mongolian, and code points kept for format characters to come: letters, marks, symbols or
# nothing yet by category, nothing to the eye. Unassigned characters as such are not among
# them: a new emoji is unassigned until Python's tables know it.
_FILLERS = frozenset(
    {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2065, 0x2800, 0x3164, 0xFFA0}
    | {*range(0x180B, 0x1810), *range(0xFFF0, 0xFFF9)}
)

# Format characters that show: number signs and verse marks of Arabic, Syriac and Kaithi.
_SHOWN_FORMATS = frozenset(
    {*range(0x0600, 0x0606), 0x06DD, 0x070F, 0x0890, 0x0891, 0x08E2, 0x110BD, 0x110CD}
)


# What each code point met so far becomes, for `model/kernel.c`, and 0 for what was not met: see
# `_entry`. Memory is taken only for pages written.
CHARACTERS: NDArray[np.uint64] = np.zeros(0x110000, np.uint64)

# The entries of what becomes several, one after another. All there are take a sixth.
SPELLINGS: NDArray[np.uint64] = np.zeros(1 << 14, np.uint64)

_spelled_so_far = 0
_meeting = RLock()


class _Written(dict[int, str]):
    """What each code point becomes, for `str.translate`; worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        meet([code])
        return self[code]


class _Compared(dict[int, str]):
    """What each code point leaves to compare texts by."""

    def __missing__(self, code: int) -> str:
        left = self[code] = _NO_LETTER.sub("", _readable_of[code])
        return left


_plain_of, _marked_of, _readable_of = _Written(), _Written(), _Written()
_comparable_of = _Compared()


def meet(codes: Iterable[int]) -> None:
    """Work out what code points become, before anything that holds them is read."""
    with _meeting:
        for code in codes:
            if not CHARACTERS[code]:
                _meet(code)


def _meet(code: int) -> None:
    global _spelled_so_far  # noqa: PLW0603  where the next one that becomes several is written
    character = chr(code)
    stands_for = _compatible(character)
    if len(stands_for) > _LONGEST_SPELLING:
        stands_for = character
    read = [pair for c in stands_for if not is_invisible(c) for pair in _spelled(c)]
    plain, marked = "".join(p for p, _ in read), "".join(m for _, m in read)
    _marked_of[code], _plain_of[code] = marked, plain
    _readable_of[code] = plain.translate(_NOUGHTS)
    if len(plain) == 1:
        CHARACTERS[code] = _entry(ord(plain), ord(marked), _kinds_of(character, plain))
        return
    begin = _spelled_so_far
    _spelled_so_far += len(plain)
    for at, (one, with_marks) in enumerate(read, begin):
        kinds = 0 if one == character else _kinds_of(one, _plain_of[ord(one)])
        SPELLINGS[at] = _entry(ord(one), ord(with_marks), kinds)
    CHARACTERS[code] = _entry(begin, 0, 0, len(plain))  # last, as others read without the lock


def _entry(plain: int, marked: int, kinds: int, many: int = 1) -> int:
    """A code point with what it becomes in one number; `plain` is where several begin."""
    return plain | marked << 21 | kinds << 42 | many << 51 | 1 << 54


def _compatible(character: str) -> str:
    """What a character stands for, in lower case."""
    code = ord(character)
    for first, last in _IN_SHAPES:
        if first <= code <= last:
            return chr(ord("a") + code - first)
    stands_for = unicodedata.normalize("NFKC", character)
    for form in (character, stands_for):
        base = unicodedata.normalize("NFD", form)[0]
        if base in _LOOKS_OTHERWISE:
            return _LOOKS_OTHERWISE[base]
    return unicodedata.normalize("NFKC", stands_for.lower())


# Letters white on black, in squares and in circles, of which Unicode does not say what they are.
_IN_SHAPES = ((0x1F150, 0x1F169), (0x1F170, 0x1F189))

# Greek letters that look otherwise than what Unicode or lower case make of them: of a lunate
# sigma the one that looks like an o, of the capital upsilon the small one like a u.
_LOOKS_OTHERWISE = {"\u03f2": "c", "\u03f9": "c", "\u03a5": "y", "\u03d2": "y"}

# What stands for more stays whole: one Arabic ligature is a blessing of 18 letters, and a text
# of nothing else would be 18 times as long.
_LONGEST_SPELLING = 6


def _spelled(character: str) -> list[tuple[str, str]]:
    """What a lower-case character reads as, without and with marks; of the same length."""
    if character.isspace():
        return [(" ", " ")]
    if unicodedata.category(character) in {"Mn", "Me"}:
        return []
    if character.isdigit():
        digit = str(unicodedata.digit(character))
        return [(digit, digit)]
    alike = _latin_look_alikes().get(character)
    if alike is None:
        base = [
            c
            for c in unicodedata.normalize("NFKD", character)
            if unicodedata.category(c) not in {"Mn", "Me"}
        ]
        bare = [_latin_look_alikes().get(c, c) for c in base]
    else:
        bare = [alike]
    if len(bare) != 1:  # Hangul and other letters of several parts stay whole
        return [(character, character)] if bare else []
    is_latin = unicodedata.name(character, "").startswith("LATIN")
    return [(bare[0], character if is_latin else bare[0])]


def _kinds_of(character: str, plain: str) -> int:
    """The kinds of a character that reads so."""
    if len(plain) != 1:
        return 0
    category = unicodedata.category(plain)
    return (
        LETTER * (category[0] in "LM" or (category[0] == "N" and not plain.isdigit()))
        + DIGIT * plain.isdigit()
        + BLANK * (plain == " ")
        + SIGN * (plain in "@$!")
        + STOP * (plain in _STOPS)
        + LINE * (character in "\n\x0b\x0c\x85\u2028\u2029")  # a form's lines end in \r\n
        + UPPER * (character.isupper() or character.istitle())
        + LOWER * character.islower()
        + SYMBOL * (category == "So")
    )


_STOPS = ".!?\u3002\u0964\u061f"

# Letters that look Latin only to UTS #39's tables, or whose Latin base is no decomposition.
_OWN_LOOK_ALIKES = {"đ": "d", "ð": "d", "ø": "o", "ł": "l", "ı": "i", "ħ": "h", "ŧ": "t", "ƀ": "b"}

_latin: dict[str, str] = {}


def _latin_look_alikes() -> dict[str, str]:
    """Each lower-case non-ASCII letter that is confusable with one ASCII letter."""
    if not _latin:
        table = files("confusable_homoglyphs").joinpath("confusables.json").read_text("utf-8")
        for character, twins in json.loads(table).items():
            latin = sorted({t["c"].lower() for t in twins if len(t["c"]) == 1 and t["c"].isascii()})
            letters = [c for c in latin if c.isalpha()]
            if len(character) == 1 and not character.isascii() and letters:
                _latin.setdefault(character.lower(), letters[0])
        _latin.update(_OWN_LOOK_ALIKES)
    return _latin


def composed(text: str) -> tuple[str, NDArray[np.int64] | None]:
    """The text in NFC and, for each of its characters, where it began in the original.

    None for a text that is its own NFC.
    """
    if unicodedata.is_normalized("NFC", text):
        return text, None
    clusters = _clusters(text)
    whole = [unicodedata.normalize("NFC", cluster) for cluster in clusters]
    begins = np.fromiter(accumulate(map(len, clusters), initial=0), np.int64, len(clusters) + 1)
    lengths = np.fromiter(map(len, whole), np.int64, len(whole))
    return "".join(whole), np.repeat(begins[:-1], lengths)


def is_composing(character: str) -> bool:
    """Whether NFC may change a text for this character; without such, a text is its own NFC."""
    return (
        unicodedata.combining(character) != 0
        or character in _COMPOSING
        or not unicodedata.is_normalized("NFC", character)
    )


def _clusters(text: str) -> list[str]:
    """The text cut before each character that does not combine with the one before it.

    Longer runs are cut as in UAX #15's stream-safe format: putting a run of marks in order
    takes time by the square of its length, seconds for one comment of nothing else.
    """
    clusters: list[str] = []
    start = 0
    for at in range(1, len(text)):
        character = text[at]
        joins = unicodedata.combining(character) or character in _COMPOSING
        if not joins or at - start > _LONGEST_RUN:
            clusters.append(text[start:at])
            start = at
    clusters.append(text[start:])
    return clusters


_LONGEST_RUN = 30

# What composes with the character before it, or decomposes into marks that reorder with it,
# without being a combining mark by its class: vowel signs of Indic scripts, and Hangul jamo.
_COMPOSING = frozenset(
    map(
        chr,
        (
            *(0x09BE, 0x09D7, 0x0B3E, 0x0B56, 0x0B57, 0x0BBE, 0x0BD7, 0x0CC2, 0x0CD5, 0x0CD6),
            *(0x0D3E, 0x0D57, 0x0DCF, 0x0DDF, 0x0F73, 0x0F75, 0x0F81, 0x102E, 0x1B35),
            *range(0x1160, 0x1200),
            *(0x11127, 0x1133E, 0x11357, 0x113B8, 0x113BB, 0x113C2, 0x113C5),
            *(0x113C7, 0x113C8, 0x113C9, 0x114B0, 0x114BA, 0x114BD, 0x115AF, 0x11930),
            *range(0x1611E, 0x1612A),
            *(0x16D63, 0x16D67),
        ),
    )
)
