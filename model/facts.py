"""Everything read off a submission once: links, language, address, disguises, signs.

`gather` is pure and total: it takes any text and never raises. Rules and classifier read
only what stands here.
"""

import unicodedata
from dataclasses import dataclass

from model.addresses import AddressFacts, AddressProblem, facts_of_address, read_address
from model.features import Texts
from model.language import language_of
from model.links import Link, links_in
from model.signs import is_disguised, signs_of
from model.submission import History, Submission
from model.text import is_invisible


@dataclass(frozen=True, slots=True)
class Facts:
    """A submission, its history, and what was read off them.

    `links` are those of the content, in order, with their offsets; `language` is a BCP 47
    primary tag or `und`. Of the content, `invisible` counts characters that show nothing
    where no emoji or script needs them, `disguised` those that only stand for an ASCII letter
    or digit, and `marks` is the longest run of combining marks.
    """

    submission: Submission
    history: History
    links: tuple[Link, ...]
    language: str
    address: AddressFacts | None
    invisible: int
    disguised: int
    marks: int
    texts: Texts


def gather(submission: Submission, history: History | None = None) -> Facts:
    """What can be read off a submission, with what was known when it came."""
    content, author = submission.content, submission.author
    links = links_in(content)
    exotic = not content.isascii()
    return Facts(
        submission=submission,
        history=history or History(),
        links=links,
        language=language_of(content),
        address=_address(author.email),
        invisible=_invisible(content) if exotic else 0,
        disguised=sum(map(is_disguised, content)) if exotic else 0,
        marks=_longest_marks(content) if exotic else 0,
        texts=Texts(content, author.name, author.url, signs_of(submission, links=len(links))),
    )


def _address(email: str) -> AddressFacts | None:
    if not email:
        return None
    try:
        return facts_of_address(read_address(email))
    except AddressProblem:
        return None


def _invisible(text: str) -> int:
    """Characters that hide something: not selectors and joiners beside emoji or in scripts
    that join letters by them, and not a mark of reading direction in right-to-left text."""
    count = 0
    for at, character in enumerate(text):
        if character.isascii() or not is_invisible(character):
            continue
        before = text[at - 1] if at else " "
        if before.isascii() or before.isspace() or _is_latin(before):
            count += character != "\ufe0f" and (at > 0 or character != "\ufeff")
    return count


def _is_latin(character: str) -> bool:
    return unicodedata.name(character, "").startswith("LATIN")


def _longest_marks(text: str) -> int:
    longest = run = 0
    for character in text:
        run = run + 1 if unicodedata.category(character) in {"Mn", "Me"} else 0
        longest = max(longest, run)
    return longest
