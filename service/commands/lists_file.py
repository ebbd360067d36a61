"""Read a file of changes to a site's lists, and name every line of it that is none.

A line is an act, a kind and a text: `queue word vay tiền`, `reject domain x.example`, `trust domain
y.example`, `reject address z.example` for a domain that is looked for in addresses too, and `end
word vay` for an entry that is to go. Empty lines and those that begin with # are nothing.
"""

from model.lists import MOST_ENTRIES, Act, Entry, EntryProblem, Kind, read_domain, read_word
from service.replay import ListsChange

END = "end"
_ADDRESS = "address"
_KINDS = (*(kind.value for kind in Kind), _ADDRESS)
_ACTS = (*(act.value for act in Act), END)
MOST_PROBLEMS = 20


class ListsProblems(Exception):
    """A file that cannot be used. `problems` has a line for each reason, quoting nothing."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


def read_lists(text: str) -> ListsChange:
    """The changes that a file asks for. Raises ListsProblems."""
    added: dict[tuple[Kind, str], Entry] = {}
    ended: dict[tuple[Kind, str], Entry] = {}
    problems: list[str] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            entry, is_end = _entry(line)
        except ValueError as problem:
            problems.append(f"line {number}: {problem}")
            if len(problems) >= MOST_PROBLEMS:
                break
            continue
        (ended if is_end else added)[entry.kind, entry.text] = entry
    if len(added) > MOST_ENTRIES:
        problems.append(f"there are more than {MOST_ENTRIES:,} entries")
    if not (added or ended or problems):
        problems.append("there is no entry in it")
    if problems:
        raise ListsProblems(problems)
    return ListsChange(tuple(added.values()), tuple(ended.values()))


def _entry(line: str) -> tuple[Entry, bool]:
    words = line.split(maxsplit=2)
    if len(words) < 3 or words[0] not in _ACTS or words[1] not in _KINDS:
        raise ValueError(f"must be one of {', '.join(_ACTS)}, one of {', '.join(_KINDS)}, a text")
    said, of, text = words
    kind = Kind.WORD if of == Kind.WORD else Kind.DOMAIN
    act = Act.QUEUE if said == END else Act(said)
    if kind is Kind.WORD and act is Act.TRUST:
        raise ValueError("a word cannot be trusted")
    try:
        kept = read_word(text) if kind is Kind.WORD else read_domain(text, act)
    except EntryProblem as problem:
        raise ValueError(f"no entry ({problem.code.replace('_', ' ')})") from None
    return Entry(kind, kept, act, of == _ADDRESS), said == END
