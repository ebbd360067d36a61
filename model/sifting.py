"""Which of many texts some words may stand in, told for all of them at once.

Knows what words read as (`model.lists`), and nothing of what is found: it only leaves out texts
in which there is nothing to find, so that the rest can be looked at with care. Of a word that is
none of theirs most texts are left out, in a tenth of the time that a look takes.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from model.lists import Entry, Kind, plain_key, plain_reading
from model.shown import shown_text

MOST_KEYS = 50
"""With more words than this a text is looked at as fast as it is sifted."""

_MOST_LETTERS = 1_000_000  # read at a time: some 16 MB
_GONE, _BLANK, _MANY, _UNMET = 0, ord(" "), 0xFFFF_FFFE, 0xFFFF_FFFF
_READ: NDArray[np.uint32] = np.full(0x110000, _UNMET, np.uint32)  # by code point; filled as met


def sift_of(entries: Iterable[Entry]) -> "Sift | None":
    """What sifts texts for these entries; None where each text has to be looked at."""
    keys = [plain_key(entry) if entry.kind is Kind.WORD else None for entry in entries]
    known = {key for key in keys if key is not None}
    if not keys or None in keys or len(known) > MOST_KEYS:
        return None
    return Sift(known)


class Sift:
    """Tells in which texts one of some keys (`model.lists.plain_key`) may stand."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = sorted(keys)

    def holds(self, texts: Sequence[str]) -> list[bool]:
        """For each text whether there may be something to find in it."""
        found: list[bool] = []
        for part in _parts([_as_read(text) for text in texts]):
            found += self._holds(part)
        return found

    def _holds(self, texts: Sequence[str]) -> list[bool]:
        letters, starts, unclear = _letters_of(texts)
        found = [False] * len(texts)
        for at in unclear:
            found[at] = True
        for key in self._keys:
            at = letters.find(key)
            while at >= 0:
                # The blank before a text is part of it.
                place = int(np.searchsorted(starts, at, side="right")) - 1
                found[place] = True
                if place + 1 == len(texts):
                    break
                at = letters.find(key, int(starts[place + 1]))
        return found


def _as_read(text: str) -> str:
    is_plain = text.isascii() or unicodedata.is_normalized("NFC", text)
    # A spelled out dot ends a word as it is, so only markup and what is composed read otherwise.
    return text if is_plain and "<" not in text and "&" not in text else shown_text(text)


def _parts(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    first = letters = 0
    for at, text in enumerate(texts):
        if letters > _MOST_LETTERS:
            yield texts[first:at]
            first, letters = at, 0
        letters += len(text)
    yield texts[first:]


def _letters_of(texts: Sequence[str]) -> tuple[str, NDArray[np.int64], list[int]]:
    """The texts without marks, each with a blank before and after it, and where the first stands.

    With them the places of texts that hold what reads as several letters.
    """
    joined = "  ".join(["", *texts, ""])  # two, so that no phrase goes on in the next text
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    read = _READ[codes]
    if (unmet := read == _UNMET).any():
        for code in np.unique(codes[unmet]).tolist():
            _READ[code] = _reading(code)
        read = _READ[codes]
    begins = np.array([*accumulate((len(text) + 2 for text in texts), initial=1)][:-1], np.int64)
    many = np.flatnonzero(read == _MANY)
    unclear = np.unique(np.searchsorted(begins, many, side="right") - 1).tolist()
    read[many] = _BLANK
    kept = read != _GONE
    # Of a run of blanks one is kept, as between the words of an entry; but those between texts.
    is_blank = read[kept] == _BLANK
    is_again = np.zeros_like(is_blank)
    is_again[1:] = is_blank[1:] & is_blank[:-1]
    own = np.zeros_like(kept)
    own[begins] = own[begins - 1] = True
    kept[kept] = ~is_again | own[kept]
    letters = read[kept].tobytes().decode("utf-32-le", "surrogatepass")
    starts = begins - np.searchsorted(np.flatnonzero(~kept), begins)
    return letters, starts, unclear


def _reading(code: int) -> int:
    read = plain_reading(code)
    if not read:
        return _GONE
    word = read.strip()
    if not word or (word != read and not word.isalnum()):
        return _BLANK
    return ord(word) if len(word) == 1 == len(read) else _MANY
