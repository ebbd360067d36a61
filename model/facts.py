"""Everything read off a submission once: links, language, address, disguises, signs.

`gather` is pure and total: it takes any text and never raises. Rules and classifier read
only what stands here.
"""

from dataclasses import dataclass, field

from model.addresses import AddressFacts, AddressProblem, facts_of_address, read_address
from model.features import Texts
from model.glance import LINKS
from model.language import TELLING, language_told
from model.links import Link, links_in
from model.outcome import Outcome
from model.signs import signs_of
from model.site_rules import Met
from model.submission import History, Submission


@dataclass(frozen=True, slots=True)
class DecidedTwin:
    """A comment that people decided, which another one is nearly the same as.

    `likeness` is from 0 to 1, `decisions` how many there were on comments like it, and
    `settles` what they ask for; None when they disagree or say too little.
    """

    id: str
    likeness: float
    decisions: int
    settles: Outcome | None


@dataclass(frozen=True, slots=True)
class Facts:
    """A submission, its history, and what was read off them.

    `links` are those of the content, in order, with their offsets; `language` is a BCP 47
    primary tag or `und`. Of the content, `invisible` counts characters that show nothing
    where no emoji or script needs them, `disguised` those that only stand for an ASCII letter
    or digit, and `marks` is the longest run of combining marks. `twin` is what the site's
    memory of decided comments knows of it,
    `met` what of the site's own rules does, None where it has none.
    """

    submission: Submission
    history: History
    links: tuple[Link, ...] = field(repr=False)
    language: str
    address: AddressFacts | None
    invisible: int
    disguised: int
    marks: int
    texts: Texts
    twin: DecidedTwin | None = None
    met: Met | None = None


def gather(submission: Submission, history: History | None = None) -> Facts:
    """What can be read off a submission, with what was known when it came."""
    content, author = submission.content, submission.author
    told = TELLING.told(content)
    language = language_told(told.language, content)
    links = links_in(content) if told.flags & LINKS else ()
    return Facts(
        submission=submission,
        history=history or History(),
        links=links,
        language=language,
        address=_address(author.email),
        invisible=told.invisible,
        # The wide forms are a habit where they are those of the script.
        disguised=told.disguised - (told.wide if language in _WIDE else 0),
        marks=told.marks,
        texts=Texts(content, author.name, author.url, signs_of(submission, links=len(links))),
    )


_WIDE = frozenset(("ja", "zh", "ko"))


def _address(email: str) -> AddressFacts | None:
    if not email:
        return None
    try:
        return facts_of_address(read_address(email))
    except AddressProblem:
        return None
