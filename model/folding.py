"""A text as one searches for it: without case, diacritics and what nobody sees.

Both what is looked for and what is looked through are folded, so "nuoc" finds "Nước", however its
letters are put together. Nothing in it has a meaning of its own: `%`, `_` and quotes stay.
"""

import re
import unicodedata

_UNSEEN = ("Mn", "Me", "Cf", "Cc", "Cs")
_SPACES = re.compile(r"\s+")


class _Folding(dict[int, str]):
    """What becomes of each letter; met once, it is looked up."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        gone = unicodedata.category(letter) in _UNSEEN and not letter.isspace()
        self[code] = "" if gone else letter
        return self[code]


# Letters that no decomposition takes apart, as people type them who cannot type them.
_FOLDING = _Folding(
    str.maketrans({"đ": "d", "ð": "d", "ø": "o", "ł": "l", "ħ": "h", "ŧ": "t", "ı": "i"})
    | str.maketrans({"æ": "ae", "œ": "oe"})
)


def folded(text: str) -> str:
    """The text in lower case, without diacritics or invisible characters, blanks as one space."""
    if text.isascii():
        text = text.lower()
    else:
        text = unicodedata.normalize("NFKD", text.casefold()).casefold()
    return _SPACES.sub(" ", text.translate(_FOLDING)).strip()


def words_of(text: str, *, most: int = 8, longest: int = 200) -> tuple[str, ...]:
    """The words to look for in what somebody typed, folded; all of them have to be there.

    Only the first `most` words of the first `longest` characters count, and each once.
    """
    return tuple(dict.fromkeys(folded(text[:longest]).split()[:most]))
