"""Reasons in words: a sentence for each code, in each language, and quotations as evidence."""

from model.addresses import addresses_in, mask_addresses
from model.language import LANGUAGES

DEFAULT_LANGUAGE = "en"
LONGEST_QUOTATION = 80
"""Characters of a text that a reason repeats: enough to find the place."""


def sentence(code: str, language: str = DEFAULT_LANGUAGE) -> str:
    """What a reason's code means, for a person, in `language` or else in English.

    Raises KeyError for a code that no language file knows.
    """
    return (LANGUAGES.get(language) or LANGUAGES[DEFAULT_LANGUAGE]).reasons[code]


def quotation(text: str, start: int, end: int) -> str:
    """The words of a text from `start` to `end`, addresses masked and not cut into parts.

    Whole words, at most `LONGEST_QUOTATION` characters. An address that only overlaps the
    range is taken in whole before it is masked, so that no piece of one is left bare.
    """
    while start > 0 and end - start < LONGEST_QUOTATION and not text[start - 1].isspace():
        start -= 1
    while end < len(text) and end - start < LONGEST_QUOTATION and not text[end].isspace():
        end += 1
    for found in addresses_in(text):
        if found.start < end and start < found.end:
            start, end = min(start, found.start), max(end, found.end)
    words = " ".join(mask_addresses(text[start:end]).split())
    return words if len(words) <= LONGEST_QUOTATION else words[: LONGEST_QUOTATION - 1] + "…"
