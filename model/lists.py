"""Words and domains that a site has decided on, and where they stand in a comment.

Pure: knows texts, links and entries; no database, no clock. What a match does to the outcome is
in `model.rules`.

A word matches whole words as they read: look-alikes, invisible characters and markup undone, case
folded. Without a mark of its own it also matches words with marks ("ban" finds "bán"); with one it
matches exactly that. Scripts that part no words by blanks (Chinese, Japanese, Thai, Lao, Khmer,
Burmese, Tibetan) are found anywhere in a text. Finding takes time linear in the text, whatever the
entries are and however many: words are looked up, and where there are none to look up, an
automaton of Aho and Corasick reads each letter once. No entry is ever a pattern.
"""

import re
import unicodedata
from bisect import bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import NamedTuple

from model.addresses import PUBLIC_SUFFIXES
from model.links import Link, ascii_host, host_of, links_in
from model.shown import Shown, shown
from model.text import is_invisible, marked, plain, whole_characters

LONGEST_ENTRY = 100
"""Characters of an entry."""

MOST_WORDS = 8
"""Words of an entry."""

MOST_ENTRIES = 10_000
"""Words and domains of a site."""

SHORTEST_BESIDE_STAR = 3
"""Letters that stand beside a `*`: with fewer it would match every other word."""

MOST_FOUND = 8
"""Entries that are told of one comment, for each act."""


class Act(StrEnum):
    """What a site does with a comment that an entry is found in. Trust is for domains alone."""

    QUEUE = "queue"
    REJECT = "reject"
    TRUST = "trust"


class Kind(StrEnum):
    """What an entry is."""

    WORD = "word"
    DOMAIN = "domain"


class EntryProblem(ValueError):
    """A text that can be no entry.

    `code` says why: `empty` (no letter, digit or sign), `too_long`, `too_many_words`,
    `star_inside` (a `*` anywhere but at one end of a single word), `star_short`, `unreadable`,
    `not_a_domain`, `too_wide` (trust for all names under a public suffix).
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Entry:
    """A word or phrase, or a domain, as `read_word` and `read_domain` give it.

    With `of_address` a domain is also looked for in the author's address.
    """

    kind: Kind
    text: str
    act: Act
    of_address: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """An entry and where it was found first: code points of `field`, end exclusive.

    `field` is `content`, `author.name`, `author.url` or `author.email`; of the last nothing is
    marked, so both ends are 0.
    """

    entry: Entry
    field: str
    start: int
    end: int


# ------------------------------------------------------------------ entries


def read_word(text: str) -> str:
    """A word or phrase as it is kept: NFC, one blank between words. Raises EntryProblem."""
    kept = _tidy(text)
    bare = kept.strip("*")
    stars = len(kept) - len(bare)
    if "*" in bare or stars > 1 or (stars and " " in bare):
        raise EntryProblem("star_inside")
    words = _words(bare, _MARKED)
    if not words:
        raise EntryProblem("empty")
    if len(words) > MOST_WORDS:
        raise EntryProblem("too_many_words")
    if stars and (len(words) > 1 or _is_unparted(bare)):
        raise EntryProblem("star_inside")
    if stars and len(words[0]) < SHORTEST_BESIDE_STAR:
        raise EntryProblem("star_short")
    return kept


def read_domain(text: str, act: Act) -> str:
    """A host name as it is kept, from one as people paste it. Raises EntryProblem.

    `https://www.example.com/x`, `*.example.com` and `example.com` are the same domain, with all
    hosts under it. A public suffix ("vn", "blogspot.com") stands for all names under it, and can
    not be trusted.
    """
    kept = _tidy(text)
    if "/" in kept or ":" in kept:
        kept = host_of(kept)
    host = ascii_host(kept.removeprefix("*").removeprefix("."))
    if host is None or not host or host.startswith("["):
        raise EntryProblem("not_a_domain")
    if host.startswith("www.") and host.count(".") > 1:
        host = host.removeprefix("www.")
    if "." not in host and not PUBLIC_SUFFIXES.publicsuffix(host, accept_unknown=False):
        raise EntryProblem("not_a_domain")
    is_suffix = PUBLIC_SUFFIXES.privatesuffix(host, accept_unknown=True) is None
    if act is Act.TRUST and is_suffix:
        raise EntryProblem("too_wide")
    return host


class Way(StrEnum):
    """How a word is looked for: with any marks, with exactly its own, or within words too."""

    FOLDED = "folded"
    EXACT = "exact"
    ANYWHERE = "anywhere"


def way_of(word: str) -> Way:
    """How a word, as `read_word` gives it, is looked for."""
    if _is_unparted(word):
        return Way.ANYWHERE
    bare = word.strip("*")
    return Way.FOLDED if _words(bare, _PLAIN) == _words(bare, _MARKED) else Way.EXACT


def _tidy(text: str) -> str:
    if len(text) > 4 * LONGEST_ENTRY:  # before anything takes time over it
        raise EntryProblem("too_long")
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise EntryProblem("unreadable")
    visible = "".join(c for c in text if not is_invisible(c))
    kept = " ".join(unicodedata.normalize("NFC", visible).split())
    if len(kept) > LONGEST_ENTRY:
        raise EntryProblem("too_long")
    if not kept:
        raise EntryProblem("empty")
    return kept


# ------------------------------------------------------------------ how texts are read


class _Reading(dict[int, str]):
    """What each code point reads as, for `str.translate`: letters, or a blank between words.

    Signs and emoji are words of their own.
    """

    def __init__(self, *, marks: bool) -> None:
        self._marks = marks

    def __missing__(self, code: int) -> str:
        read = "".join(map(_in_word, self._letters(chr(code))))
        if len(self) < _MOST_MET:
            self[code] = read
        return read

    def _letters(self, character: str) -> str:
        read = marked(character) if self._marks else plain(character)
        if not self._marks or is_invisible(character):
            return read
        if unicodedata.category(character) in {"Mn", "Me"}:
            # Marks of a script are part of its words; those for all scripts are piled on letters.
            return "" if any(a <= ord(character) <= b for a, b in _MARKS_FOR_ALL) else character
        lower = unicodedata.normalize("NFKC", character).lower()
        is_latin = unicodedata.name(lower[:1] or " ", "").startswith("LATIN")
        return lower if _has_marks(lower) and not is_latin else read


_MOST_MET = 150_000  # of what Unicode has; beyond that a code point is read anew each time
_MARKS_FOR_ALL = ((0x300, 0x36F), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF))


def _in_word(letter: str) -> str:
    match unicodedata.category(letter)[0]:
        case "L" | "N" | "M":
            return letter
        case "S":
            return f" {letter} "
        case _:
            return " "


_GREEK = re.compile("[\u0370-\u03ff\u1f00-\u1fff]")


def _forms_of(text: str) -> tuple[str, ...]:
    """A word as it may be written: Greek capitals look like other letters than their small ones.

    So Υ reads as y and υ as u; an iota below a small letter stands beside a capital one.
    """
    if text.isascii() or not _GREEK.search(text):
        return (text,)
    titled = " ".join(word[:1].title() + word[1:].lower() for word in text.split(" "))
    forms = (text, text.lower(), text.upper(), titled)
    return tuple(dict.fromkeys(unicodedata.normalize("NFC", form) for form in forms))


def _has_marks(text: str) -> bool:
    return any(unicodedata.category(c)[0] == "M" for c in unicodedata.normalize("NFD", text))


_PLAIN = _Reading(marks=False)
_MARKED = _Reading(marks=True)

# Written without blanks between words: CJK, kana, bopomofo, Thai, Lao, Tibetan, Burmese, Khmer.
_UNPARTED = re.compile(
    "[\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0edf\u0f00-\u0fff\u1000-\u109f\u1780-\u17d3\u3005-\u3007"
    "\u3041-\u30ff\u3105-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uaa60-\uaa7f\uf900-\ufaff"
    "\U0001b000-\U0001b16f\U00020000-\U000323af]"
)


def _is_unparted(text: str) -> bool:
    return not text.isascii() and _UNPARTED.search(text) is not None


def _words(text: str, reading: _Reading) -> list[str]:
    return text.translate(reading).split()


def _laid_out(text: str, reading: _Reading) -> tuple[str, list[int]]:
    """The words of `_words` with one blank between them, and where each letter came from."""
    letters: list[str] = []
    origins: list[int] = []
    for at, character in enumerate(text):
        for letter in reading[ord(character)]:
            if letter != " " or (letters and letters[-1] != " "):
                letters.append(letter)
                origins.append(at)
    if letters and letters[-1] == " ":
        letters.pop()
        origins.pop()
    return "".join(letters), origins


def plain_reading(code: int) -> str:
    """What a code point reads as without marks: letters, "" or blanks; a sign between blanks."""
    return _PLAIN[code]


def plain_key(entry: Entry) -> str | None:
    """Letters that the plain reading of each text holds in which a word stands, None if unknown.

    A blank in it is the end of a word, with however many blanks there. What is shown of a text is
    what is read.
    """
    way = way_of(entry.text)
    words = _words(entry.text.strip("*"), _PLAIN if way is Way.FOLDED else _MARKED)
    plain_words = _words(words[0], _PLAIN) if words else []
    if (
        way is Way.ANYWHERE
        or _GREEK.search(entry.text)
        or not plain_words
        or not all(word.isalnum() for word in plain_words)
    ):
        return None
    first = plain_words[0]
    if "*" not in entry.text:
        plain_of_each = [_words(word, _PLAIN) for word in words]
        is_clear = all(len(one) == 1 and one[0].isalnum() for one in plain_of_each)
        return f" {' '.join(one[0] for one in plain_of_each)} " if is_clear else f" {first} "
    if way is Way.EXACT or len(plain_words) > 1:
        return first if len(plain_words) == 1 else None
    return f"{first} " if entry.text.startswith("*") else f" {first}"


# ------------------------------------------------------------------ finding words


class _Match(NamedTuple):
    """Letters of a text laid out, end exclusive, and the entry they are."""

    start: int
    end: int
    entry: Entry


class _Node:
    """Where a phrase has come to: the words that may follow, and the entry that ends here."""

    __slots__ = ("entry", "following")

    def __init__(self) -> None:
        self.entry: Entry | None = None
        self.following: dict[str, _Node] = {}


class _Words:
    """Finds entries of whole words in texts read one way."""

    def __init__(self, reading: _Reading) -> None:
        self.reading = reading
        self._first = _Node()
        self._begin = _Parts(slice(SHORTEST_BESIDE_STAR), lambda word, size: word[:size])
        self._end = _Parts(slice(-SHORTEST_BESIDE_STAR, None), lambda word, size: word[-size:])
        self._plain_firsts: set[str] = set()

    def add(self, entry: Entry, text: str) -> None:
        words = _words(text.strip("*"), self.reading)
        if entry.text.endswith("*"):
            self._begin.add(words[0], entry)
        elif entry.text.startswith("*"):
            self._end.add(words[0], entry)
        else:
            self._plain_firsts.update((_words(words[0], _PLAIN)[0], _words(text, _PLAIN)[0]))
            node = self._first
            for word in words:
                node = node.following.setdefault(word, _Node())
            node.entry = _the_graver(node.entry, entry)

    @property
    def is_empty(self) -> bool:
        return not (self._first.following or self._begin.entries or self._end.entries)

    def found_in(self, text: str, plain_words: Sequence[str]) -> list[_Match]:
        """Where entries stand in a text, of which `plain_words` are those without marks."""
        has_phrase = not self._plain_firsts.isdisjoint(plain_words)
        has_parts = not self.has_no_parts
        if not (has_phrase or has_parts):
            return []
        is_plain = self.reading is _PLAIN
        words = plain_words if is_plain else _words(text, self.reading)
        found = [*self._phrases(words)] if has_phrase else []
        if has_parts:
            found += self._parts(words)
        if not found:
            return []
        starts = [*accumulate((len(word) + 1 for word in words), initial=0)]
        return [_Match(starts[first], starts[last + 1] - 1, e) for first, last, e in found]

    @property
    def has_no_parts(self) -> bool:
        return not (self._begin.entries or self._end.entries)

    def _phrases(self, words: Sequence[str]) -> Iterator[tuple[int, int, Entry]]:
        """At most `MOST_WORDS` steps from each word."""
        start = self._first.following
        for first, word in enumerate(words):
            node = start.get(word)
            last = first
            while node is not None:
                if node.entry is not None:
                    yield first, last, node.entry
                last += 1
                node = node.following.get(words[last]) if last < len(words) else None

    def _parts(self, words: Sequence[str]) -> Iterator[tuple[int, int, Entry]]:
        """As many steps as a word has letters, and no more than an entry may have."""
        for parts in (self._begin, self._end):
            edge = parts.edge
            if not parts.edges or parts.edges.isdisjoint([word[edge] for word in words]):
                continue
            for at, word in enumerate(words):
                for part in parts.parts_of(word):
                    entry = parts.entries.get(part)
                    if entry is not None:
                        yield at, at, entry


class _Parts:
    """Beginnings or ends of words, and the letters at their edge: most words have none of those."""

    def __init__(self, edge: slice, cut: Callable[[str, int], str]) -> None:
        self.entries: dict[str, Entry] = {}
        self.edges: set[str] = set()
        self.edge = edge
        self._cut = cut
        self._lengths: list[int] = []

    def add(self, part: str, entry: Entry) -> None:
        _graver(self.entries, part, entry)
        self.edges.add(part[self.edge])
        if len(part) not in self._lengths:
            insort(self._lengths, len(part))

    def parts_of(self, word: str) -> Iterator[str]:
        """What a word begins or ends with, of the lengths that entries have."""
        if word[self.edge] in self.edges:
            for length in self._lengths[: bisect_right(self._lengths, len(word))]:
                yield self._cut(word, length)


class _Automaton:
    """Finds entries anywhere in a text: the automaton of Aho and Corasick, over letters."""

    reading = _MARKED

    def __init__(self) -> None:
        self._next: list[dict[str, int]] = [{}]
        self._entry: list[Entry | None] = [None]
        self._depth = [0]
        self._fail = [0]
        self._shorter = [0]  # the longest suffix of a state at which an entry ends
        self._letters: frozenset[str] = frozenset()

    def add(self, entry: Entry, text: str) -> None:
        state = 0
        for letter in " ".join(_words(text, _MARKED)):
            following = self._next[state].get(letter)
            if following is None:
                following = len(self._next)
                self._next[state][letter] = following
                self._next.append({})
                self._entry.append(None)
                self._depth.append(self._depth[state] + 1)
            state = following
        self._entry[state] = _the_graver(self._entry[state], entry)

    def link(self) -> None:
        """Say where to go on when nothing follows; once, after all entries were added."""
        self._letters = frozenset(self._next[0])
        self._fail = [0] * len(self._next)
        self._shorter = [0] * len(self._next)
        waiting = [*self._next[0].values()]
        for state in waiting:  # grows as it is read: by depth
            for letter, following in self._next[state].items():
                waiting.append(following)
                fail = self._fail[state]
                while fail and letter not in self._next[fail]:
                    fail = self._fail[fail]
                fail = self._next[fail].get(letter, 0)
                self._fail[following] = fail
                ends = self._entry[fail] is not None
                self._shorter[following] = fail if ends else self._shorter[fail]

    @property
    def is_empty(self) -> bool:
        return len(self._next) == 1

    def found_in(self, text: str, plain_words: Sequence[str]) -> list[_Match]:
        """Where entries stand in a text."""
        if text.isascii() or self._letters.isdisjoint(text.translate(_MARKED)):
            return []
        laid = " ".join(_words(text, _MARKED))
        found: list[_Match] = []
        told: set[int] = set()
        state = 0
        for at, letter in enumerate(laid, 1):
            following = self._next[state].get(letter)
            while following is None and state:
                state = self._fail[state]
                following = self._next[state].get(letter)
            state = following or 0
            ends = state if self._entry[state] is not None else self._shorter[state]
            # What was told once is not told again, nor what is shorter: no text is read twice.
            while ends and ends not in told:
                entry = self._entry[ends]
                if entry is not None and not _goes_on(laid, at):
                    told.add(ends)
                    found.append(_Match(at - self._depth[ends], at, entry))
                ends = self._shorter[ends]
        return found


def _goes_on(text: str, at: int) -> bool:
    """Whether what stands there belongs to the letter before it."""
    return at < len(text) and unicodedata.category(text[at])[0] == "M"


_GRAVITY = {Act.TRUST: 0, Act.QUEUE: 1, Act.REJECT: 2}


def _the_graver(one: Entry | None, other: Entry) -> Entry:
    return one if one is not None and _GRAVITY[one.act] >= _GRAVITY[other.act] else other


def _graver(entries: dict[str, Entry], key: str, entry: Entry) -> None:
    entries[key] = _the_graver(entries.get(key), entry)


# ------------------------------------------------------------------ lists


@dataclass(frozen=True, slots=True)
class Searched:
    """What is searched of a comment. `links` are those of the content as typed."""

    content: str
    name: str
    url: str
    links: tuple[Link, ...]
    address_domain: str


class Lists:
    """The entries of a site, made ready; never changed, so that threads may share them."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._plain, self._marked = _Words(_PLAIN), _Words(_MARKED)
        self._anywhere = _Automaton()
        self._domains: dict[str, Entry] = {}
        for entry in entries:
            if entry.kind is Kind.DOMAIN:
                _graver(self._domains, entry.text, entry)
            else:
                for form in _forms_of(entry.text):
                    self._finder_of(entry).add(entry, form)
        self._anywhere.link()
        all_finders: tuple[_Words | _Automaton, ...] = (self._plain, self._marked, self._anywhere)
        self._finders = tuple(finder for finder in all_finders if not finder.is_empty)

    def _finder_of(self, entry: Entry) -> "_Words | _Automaton":
        match way_of(entry.text):
            case Way.ANYWHERE:
                return self._anywhere
            case Way.FOLDED:
                return self._plain
            case Way.EXACT:
                return self._marked

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to find."""
        return not (self._finders or self._domains)

    @property
    def has_domains(self) -> bool:
        """Whether the links of a comment make a difference."""
        return bool(self._domains)

    def found_in(self, searched: Searched) -> tuple[Found, ...]:
        """The entries in a comment, each where it stands first, up to `MOST_FOUND` of each act.

        A trusted domain counts only where every link of the comment leads to a trusted one.
        """
        seen = shown(searched.content)
        found: list[Found] = []
        if self._finders:
            found += self._words_in("content", searched.content, seen)
            if searched.name:
                found += self._words_in("author.name", searched.name, shown(searched.name))
        if self._domains:
            found += self._domains_in(searched, seen)
        return _told(found) if found else ()

    def _words_in(self, field: str, text: str, seen: Shown | None) -> Iterator[Found]:
        read = seen.text if seen is not None else text
        origin = seen.origin if seen is not None else None
        words = _words(read, _PLAIN)
        for finder in self._finders:
            matches = finder.found_in(read, words)
            if not matches:
                continue
            _, places = _laid_out(read, finder.reading)
            for start, end, entry in _firsts(matches):
                first, last = places[start], places[end - 1]
                if origin is not None:
                    first, last = int(origin[first]), int(origin[last])
                yield Found(entry, field, *whole_characters(text, first, last + 1))

    def _domains_in(self, searched: Searched, seen: Shown | None) -> Iterator[Found]:
        """Of each host the entry that says most of it: a host's own before its domain's."""
        found = [(self._entry_of(place.host), place) for place in _hosts_of(searched, seen)]
        trusted = [(entry, place) for entry, place in found if entry and entry.act is Act.TRUST]
        for entry, place in trusted[:1] if len(trusted) == len(found) else found:
            if entry is not None and (entry.act is not Act.TRUST or len(trusted) == len(found)):
                yield Found(entry, place.field, place.start, place.end)
        if searched.address_domain:
            entry = self._entry_of(searched.address_domain, of_address=True)
            if entry is not None and entry.act is not Act.TRUST:
                yield Found(entry, "author.email", 0, 0)

    def _entry_of(self, host: str, *, of_address: bool = False) -> Entry | None:
        at = 0
        while host:
            entry = self._domains.get(host[at:])
            if entry is not None and (entry.of_address or not of_address):
                return entry
            dot = host.find(".", at)
            if dot < 0:
                break
            at = dot + 1
        return None


class _Host(NamedTuple):
    """A host that a comment leads to, and what of the field says so."""

    host: str
    field: str
    start: int
    end: int


def _hosts_of(searched: Searched, seen: Shown | None) -> list[_Host]:
    hosts = [_Host(link.host, "content", link.start, link.end) for link in searched.links]
    # What is shown may have links that what was typed has not: "example (dot) com".
    if seen is not None:
        for link in links_in(seen.text):
            first, last = int(seen.origin[link.start]), int(seen.origin[link.end - 1])
            hosts.append(_Host(link.host, "content", first, last + 1))
    if searched.url:
        hosts.append(_Host(host_of(searched.url), "author.url", 0, len(searched.url)))
    return hosts


def _firsts(matches: Sequence[_Match]) -> list[_Match]:
    """Each entry where it stands first; only so many of each act, the first of them."""
    kept: dict[Entry, _Match] = {}
    for match in sorted(matches, key=lambda m: (m.start, m.end)):
        kept.setdefault(match.entry, match)
    return [*kept.values()]


def _told(found: Sequence[Found]) -> tuple[Found, ...]:
    counts: dict[Act, list[Found]] = {act: [] for act in Act}
    told: set[tuple[str, Act]] = set()
    for one in found:
        key = (one.entry.text, one.entry.act)
        if key not in told and len(counts[one.entry.act]) < MOST_FOUND:
            told.add(key)
            counts[one.entry.act].append(one)
    return tuple(one for ones in counts.values() for one in ones)
