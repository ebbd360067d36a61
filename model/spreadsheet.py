"""Cells of a table that a spreadsheet opens: no text in them is taken for a formula."""

import re

# What a spreadsheet may take for a formula. Where semicolons or tabs are what separates cells,
# those in a text begin a new one, and so does a line break: a quotation mark counts at the
# beginning of a cell alone. An apostrophe is one of the blanks, so that what is guarded matches
# still, and one can be taken away for each that was put there. No separator is one: that keeps
# long runs of them from being looked through again and again.
_SIGN = r"[=+\-@|%＝＋－＠｜％﹢﹣﹦﹫﹪⁺⁻⁼₊₋₌−](?!\))"
_BLANKS = (
    r"['\" \x00-\x08\x0b\x0c\x0e-\x1f\x7f-\xa0\xad\u034f\u061c\u1680\u180b-\u180e\u2000-\u200f"
    r"\u2028-\u202f\u205f-\u206f\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0]*"
)
_BEGINS = r"(?<![^;\t\r\n])"
_UNGUARDED = re.compile(rf"{_BEGINS}(?={_BLANKS}{_SIGN})|\A(?='*[\t\r\n])")
_GUARDED = re.compile(rf"{_BEGINS}'(?={_BLANKS}{_SIGN})|\A'(?='*[\t\r\n])")


def guarded(cell: str) -> str:
    """A cell with an apostrophe before all that a spreadsheet might take for a formula."""
    return _UNGUARDED.sub("'", cell)


def unguarded(cell: str) -> str:
    """A guarded cell as it was."""
    return _GUARDED.sub("", cell)
