"""The compiled pass from code points to log-odds, rows and spans: `model/kernel.c`, opened.

Knows C's structures and who owns which memory; what the numbers mean stands in `model.letters`,
`model.features`, `model.spans` and `model.classifier`, which pass their constants from here on.
While C reads, other threads of Python run.
"""

import ctypes
import threading
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.glance import MARKUP, UNCOMPOSED, codes_of, flags_of, widen
from model.library import opened
from model.shown import Shown, shown
from model.text import CHARACTERS, SPELLINGS, composed, meet

COUNTED = 6
"""How many things are counted of a text."""

Floats = NDArray[np.float64]
Positions = NDArray[np.int64]
Signs = tuple["array[int]", "array[int]"]
"""Places of signs in the table, and whose each is."""


_LIBRARY = opened()
_LIBRARY_ALONE = opened(alone=True)


# ------------------------------------------------------------------ C's structures

_KINDS = 3
_int64, _double, _pointer = ctypes.c_int64, ctypes.c_double, ctypes.c_void_p


class _Density(ctypes.Structure):
    _fields_ = (
        ("blanks", _pointer),
        ("blanks_size", _int64),
        ("longest_piece", _int64),
        ("rounding", _double),
        ("dense", _double),
    )


class _Plan(ctypes.Structure):
    _fields_ = (
        ("characters", _pointer),
        ("spellings", _pointer),
        ("spellings_size", _int64),
        ("leet", _pointer),
        ("density", _Density),
        ("part_letters", _int64),
        ("parts_apart", _int64),
        ("spans_per_head", _int64),
        ("bits", _int64),
        ("heads", _int64),
        ("fields", _int64),
        ("worst_part", _double),
        ("lengths", _pointer * _KINDS),
        ("lengths_size", _int64 * _KINDS),
        ("salts", _pointer),
        ("shares", _pointer),
        ("table", _pointer),
    )


class _Call(ctypes.Structure):
    _fields_ = (
        ("texts", _pointer),
        ("texts_size", _int64),
        ("typed", ctypes.c_char_p),
        ("bare", ctypes.c_char_p),
        ("origins", _pointer),
        ("asked", _int64),
        ("room", _pointer),
        ("room_size", _int64),
        ("characters_size", _int64),
        ("grams_size", _int64),
        ("unknown", _pointer),
        ("unknown_size", _int64),
        ("counts", _pointer),
        ("odds", _pointer),
        ("spans", _pointer),
        ("span_weights", _pointer),
        ("spans_found", _int64),
        ("weights", _pointer),
        ("weights_size", _int64),
        *(
            (name, _pointer)
            for name in (
                *("row_ends", "row_places", "row_values"),
                *("gram_ends", "gram_kinds", "gram_places", "gram_starts", "gram_finishes"),
                *("gram_parts", "gram_values", "gram_part_values"),
                *("letter_ends", "symbol_ends", "reading_ends"),
                *("plain", "marked", "places", "parts", "spoken", "begins"),
                *("symbols", "symbol_places", "symbol_parts"),
                *("reading_plain", "reading_marked", "reading_kinds", "reading_places"),
            )
        ),
    )


class _Sum(ctypes.Structure):
    _fields_ = (
        ("texts", _pointer),
        ("texts_size", _int64),
        ("odds", _pointer),
        ("places", _pointer),
        ("owners", _pointer),
        ("signs_size", _int64),
        ("share", _double),
        ("log_odds", _pointer),
        ("owners_size", _int64),
    )


_DONE, _UNKNOWN_CHARACTERS, _MORE_ROOM, _IMPOSSIBLE = range(4)
_SPANS, _WEIGHTS, _ROWS, _GRAMS, _LETTERS, _READINGS = (1 << bit for bit in range(6))

_read = _LIBRARY.duyet_read
_read.argtypes = (ctypes.POINTER(_Plan), ctypes.POINTER(_Call))
_read.restype = ctypes.c_int
_sum = _LIBRARY_ALONE.duyet_sum
_sum.argtypes = (ctypes.POINTER(_Plan), ctypes.POINTER(_Sum))
_sum.restype = ctypes.c_int
_runs = _LIBRARY.duyet_runs
_runs.argtypes = (
    *(ctypes.POINTER(_Density), ctypes.c_char_p, _int64),
    *(_pointer, _pointer, _pointer, _pointer),
)
_runs.restype = _int64

_MOST_HEADS = _MOST_SPANS = 8
_LONGEST_GRAM = 64


@dataclass(frozen=True, slots=True, eq=False)
class Density:
    """What words and dense runs of them are, as `model.spans` says.

    `blanks` (uint8) says which of the first code points are blanks; none that follow are. Raises
    ValueError for pieces of no length.
    """

    blanks: NDArray[np.uint8]
    longest_piece: int
    rounding: float
    dense: float
    _c: _Density = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.longest_piece < 1 or self.blanks.dtype != np.uint8:
            raise ValueError("a piece has a character at least, and blanks are bytes")
        numbers = (self.longest_piece, self.rounding, self.dense)
        c = _Density(self.blanks.ctypes.data, self.blanks.size, *numbers)
        object.__setattr__(self, "_c", c)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again(self)


def _again(one: "Density | Plan") -> tuple[Any, ...]:
    """How to make one in another process, where addresses mean nothing."""
    return type(one), tuple(getattr(one, each.name) for each in fields(one) if each.init)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """All that is the same for every text that is read in one way.

    `lengths` are those of n-grams of characters, of words and of words with their marks; `salts`
    has a row of uint64 for each field, one for each of these kinds and one for symbols; `shares`
    a row for each field with the length that the n-grams of a kind have together. `table` holds
    the weights, a row for each of 2**bits places, float32; None where nothing is weighed.
    `leet` says what each ASCII digit or sign stands for. The rest is told in `model.letters` and
    `model.features`.

    Raises ValueError for what would lead out of its memory.
    """

    lengths: tuple[tuple[int, ...], ...]
    salts: NDArray[np.uint64]
    shares: Floats
    bits: int
    part_letters: int
    parts_apart: int
    leet: NDArray[np.uint32]
    density: Density
    worst_part: float = 0.0
    table: NDArray[np.float32] | None = None
    spans_per_head: int = 1
    _c: _Plan = field(init=False, repr=False)
    _kept: tuple[Any, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._check()
        arrays = [np.array(sorted(set(lengths)), np.int64) for lengths in self.lengths]
        salts = np.ascontiguousarray(self.salts, np.uint64)
        shares = np.ascontiguousarray(self.shares, np.float64)
        table = None if self.table is None else np.ascontiguousarray(self.table, np.float32)
        kept = (*arrays, salts, shares, table, self.leet, self.density)
        c = _Plan(
            characters=CHARACTERS.ctypes.data,
            spellings=SPELLINGS.ctypes.data,
            spellings_size=SPELLINGS.size,
            leet=self.leet.ctypes.data,
            density=self.density._c,
            part_letters=self.part_letters,
            parts_apart=self.parts_apart,
            spans_per_head=self.spans_per_head,
            bits=self.bits,
            heads=0 if table is None else table.shape[1],
            fields=len(salts),
            worst_part=self.worst_part,
            lengths=(_pointer * _KINDS)(*(lengths.ctypes.data for lengths in arrays)),
            lengths_size=(_int64 * _KINDS)(*(lengths.size for lengths in arrays)),
            salts=salts.ctypes.data,
            shares=shares.ctypes.data,
            table=None if table is None else table.ctypes.data,
        )
        object.__setattr__(self, "_c", c)
        object.__setattr__(self, "_kept", kept)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again(self)

    @property
    def heads(self) -> int:
        """How many columns the table has."""
        return int(self._c.heads)

    def _check(self) -> None:
        shape = (len(self.salts), _KINDS)
        lengths = [length for of_kind in self.lengths for length in of_kind]
        wrong = {
            "bits": not 1 <= self.bits <= 24,
            "lengths": len(self.lengths) != _KINDS
            or not all(1 <= length <= _LONGEST_GRAM for length in lengths),
            "salts and shares": self.salts.shape != (shape[0], _KINDS + 1)
            or self.shares.shape != shape,
            "parts": self.part_letters < 1 or not 1 <= self.parts_apart <= 255,
            "leet": self.leet.shape != (128,) or self.leet.dtype != np.uint32,
            "spans": not 1 <= self.spans_per_head <= _MOST_SPANS,
            "table": self.table is not None
            and (
                self.table.ndim != 2
                or self.table.shape[0] != 1 << self.bits
                or self.table.shape[1] > _MOST_HEADS
            ),
        }
        if any(wrong.values()):
            raise ValueError(f"no such plan: {', '.join(name for name in wrong if wrong[name])}")


# ------------------------------------------------------------------ texts


class Laid:
    """Texts laid out for C, as typed and where it differs as shown, each with its owner and field.

    The texts of an owner stand together, owners in order; fields are rows of a plan's salts, and
    what is of field 0 is read as prose. `markup` says whether that of the texts is undone.
    """

    __slots__ = ("bare", "begins", "origins", "rows", "size", "typed", "typed_size")

    def __init__(
        self,
        texts: Sequence[str],
        owners: Sequence[int],
        fields: Sequence[int],
        *,
        markup: bool = True,
    ) -> None:
        rows: list[int] = []
        begin = 0
        for text, owner, of_field in zip(texts, owners, fields, strict=True):
            size = len(text)
            rows += (owner, of_field, begin, size, -1, 0)
            begin += size
        self.rows = array("q", rows)
        self.size = len(texts)
        self.typed = codes_of("".join(texts))
        self.typed_size = begin
        self.bare: bytes | None = None
        self.origins: Positions | None = None
        self._show(texts, markup=markup)

    def _show(self, texts: Sequence[str], *, markup: bool) -> None:
        """Lay out what is shown of texts where that is not the text."""
        looked_for = MARKUP | UNCOMPOSED if markup else UNCOMPOSED
        bare: list[str] = []
        origins: list[Positions] = []
        begin = 0
        for number, flags in enumerate(flags_of(self.typed, self.rows, self.size)):
            if not flags & looked_for:
                continue
            found = shown(texts[number]) if markup else _in_nfc(texts[number])
            if found is None:
                continue
            whole, origin = _composed(*found)
            bare.append(whole)
            origins.append(origin)
            self.rows[_BARE + number * _COLUMNS] = begin
            self.rows[_BARE + 1 + number * _COLUMNS] = len(whole)
            begin += len(whole)
        if bare:
            self.bare = codes_of("".join(bare))
            self.origins = np.concatenate(origins, dtype=np.int64)


_BARE, _COLUMNS = 4, 6


def _in_nfc(text: str) -> Shown | None:
    whole, starts = composed(text)
    return None if starts is None else Shown(whole, starts)


def _composed(text: str, origin: Positions) -> tuple[str, Positions]:
    """What is shown of a text in NFC, with where each code point of it was typed."""
    # As between other texts: a mark at the very beginning belongs to the blank before it.
    whole, starts = composed(f"  {text}  ")
    if starts is None:
        return text, origin
    at = (starts[2:-2] - 2).clip(0, max(len(text) - 1, 0))
    return whole[2:-2], origin.take(at) if text else at


# ------------------------------------------------------------------ calls

_KEPT_BYTES = 1 << 25
_UNKNOWN = 1024


class _Workspace(threading.local):
    """Memory that a thread reads texts in: it grows, but what huge texts took is given back."""

    def __init__(self) -> None:
        self.call = _Call()
        self.arrays: dict[str, NDArray[Any]] = {}
        self.unknown = np.empty(_UNKNOWN, np.uint32)
        self.call.unknown = self.unknown.ctypes.data

    def at_least(self, name: str, size: int, dtype: type = np.int64) -> NDArray[Any]:
        """The array of this name, grown to a size if need be."""
        found = self.arrays.get(name)
        if found is None or found.size < size:
            found = self.arrays[name] = self.fresh(name, size + size // 2 + 16, dtype)
        return found

    def fresh(
        self, name: str, shape: int | tuple[int, ...], dtype: type = np.int64
    ) -> NDArray[Any]:
        """A new array that C writes into."""
        made: NDArray[Any] = np.empty(shape, dtype)
        setattr(self.call, name, made.ctypes.data)
        return made

    def bytes_of(self, name: str) -> int:
        """How large the array of this name is; 0 where there is none."""
        found = self.arrays.get(name)
        return 0 if found is None else found.nbytes

    def shrink(self) -> None:
        """Give back what few texts need."""
        for name in [name for name, kept in self.arrays.items() if kept.nbytes > _KEPT_BYTES]:
            del self.arrays[name]


_workspace = _Workspace()


_NO_PLACES, _NO_VALUES = np.empty(0, np.int32), np.empty(0, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Weighed:
    """What was read off texts with a plan's table.

    `counts`, shape (texts, 6), are those of `model.letters.COUNTED`; `odds`, shape (texts, heads),
    what it adds to the log-odds. Spans are (owner, head, text, start, end) with their weights,
    owner by owner and head by head, heaviest first; they cut no letter
    from its marks. Of text i, the row is what stands in `places` and `values` up to
    `row_ends[i]`, after those of the texts before it.
    """

    counts: Positions
    odds: Floats
    spans: Sequence[Sequence[int]] = ()
    span_weights: Sequence[float] = ()
    row_ends: Sequence[int] = ()
    places: NDArray[np.int32] = field(default_factory=lambda: _NO_PLACES)
    values: NDArray[np.float32] = field(default_factory=lambda: _NO_VALUES)


def weigh(plan: Plan, laid: Laid, *, spans: bool = False, rows: bool = False) -> Weighed:
    """What texts add to each head; with the spans that weigh most and with rows if asked for."""
    work, texts = _workspace, laid.size
    asked = _SPANS * spans + _ROWS * rows
    if spans:
        most = texts * plan.heads * plan.spans_per_head
        work.at_least("spans", 5 * most)
        work.at_least("span_weights", most, np.float64)
    if rows:
        work.at_least("row_ends", texts)
    odds = work.fresh("odds", (texts, plan.heads), np.float64)
    counts = work.at_least("counts", texts * COUNTED)
    _call(plan, laid, asked)
    told: dict[str, Any] = {}
    if spans:
        found = work.call.spans_found
        places = work.arrays["spans"][: 5 * found].reshape(found, 5)
        widen(laid.typed, laid.rows, places)
        told["spans"] = places.tolist()
        told["span_weights"] = work.arrays["span_weights"][:found].tolist()
    if rows:
        told["row_ends"] = work.arrays["row_ends"][:texts].tolist()
        last = told["row_ends"][-1] if texts else 0
        if last:
            told["places"] = work.arrays["row_places"][:last].copy()
            told["values"] = work.arrays["row_values"][:last].copy()
    counted = counts[: texts * COUNTED].reshape(texts, COUNTED).copy()
    work.shrink()
    return Weighed(counted, odds, **told)


def character_weights(plan: Plan, laid: Laid) -> tuple[Floats, Floats]:
    """What each text adds, shape (texts, heads), and each of their characters, (heads, n)."""
    work = _workspace
    work.at_least("counts", laid.size * COUNTED)
    odds = work.fresh("odds", (laid.size, plan.heads), np.float64)
    weights = work.fresh("weights", (plan.heads, laid.typed_size), np.float64)
    work.call.weights_size = laid.typed_size
    _call(plan, laid, _WEIGHTS)
    work.shrink()
    return odds, weights


def add_up(
    plan: Plan, laid: Laid, odds: Floats, signs: Signs, *, share: float, log_odds: Floats
) -> None:
    """Add what texts and signs add to the log-odds of their owners, shape (owners, heads).

    `odds` are those of the texts, and each sign counts `share`. Raises ValueError for a sign or
    owner that there is not.
    """
    places, owners = signs
    if log_odds.shape[1:] != (plan.heads,) or odds.shape != (laid.size, plan.heads):
        raise ValueError("there must be a number for each head")
    told = _Sum(
        laid.rows.buffer_info()[0],
        laid.size,
        odds.ctypes.data,
        places.buffer_info()[0],
        owners.buffer_info()[0],
        min(len(places), len(owners)),
        share,
        log_odds.ctypes.data,
        len(log_odds),
    )
    if _sum(plan._c, told) != _DONE:
        raise ValueError("a sign or an owner that there is not")


def runs(density: Density, text: str, weights: Floats) -> list[tuple[int, int, float]]:
    """The runs of dense words of one text, by the weight of each of its characters.

    Raises ValueError if there is not one weight for each.
    """
    size = len(text)
    if weights.shape != (size,):
        raise ValueError("there must be a weight for each character")
    weights = np.ascontiguousarray(weights, np.float64)
    starts, ends = np.empty((2, size), np.int32)
    found = np.empty(size, [("start", np.int64), ("end", np.int64), ("weight", np.float64)])
    codes = codes_of(text)
    addresses = (one.ctypes.data for one in (weights, starts, ends, found))
    told: list[tuple[int, int, float]] = found[
        : _runs(density._c, codes, size, *addresses)
    ].tolist()
    return told


# ------------------------------------------------------------------ what C saw on the way

_GRAM_COLUMNS: Mapping[str, type] = {
    **dict.fromkeys(("gram_kinds", "gram_places", "gram_starts", "gram_finishes"), np.int64),
    **{"gram_parts": np.int64, "gram_values": np.float64, "gram_part_values": np.float64},
}
_LETTER_COLUMNS: Mapping[str, type] = {
    **{"plain": np.uint32, "marked": np.uint32, "places": np.int64, "parts": np.int64},
    **{"spoken": np.bool_, "begins": np.bool_},
}
_SYMBOL_COLUMNS: Mapping[str, type] = {
    **{"symbols": np.uint32, "symbol_places": np.int64, "symbol_parts": np.int64},
}
_READING_COLUMNS: Mapping[str, type] = {
    **{"reading_plain": np.uint32, "reading_marked": np.uint32},
    **{"reading_kinds": np.uint16, "reading_places": np.int64},
}

Columns = dict[str, NDArray[Any]]


def grams(plan: Plan, laid: Laid) -> Columns:
    """Every n-gram: its kind, place, start, finish, part, and what it counts in text and part.

    Of text i, those up to `gram_ends[i]`, after those of the texts before it.
    """
    return _columns(plan, laid, _GRAMS, {"gram_ends": _GRAM_COLUMNS})


def letters(plan: Plan, laid: Laid) -> Columns:
    """Every letter and symbol, and what is counted; of text i those up to `letter_ends[i]`."""
    columns = {"letter_ends": _LETTER_COLUMNS, "symbol_ends": _SYMBOL_COLUMNS}
    return _columns(plan, laid, _LETTERS, columns)


def reading(plan: Plan, laid: Laid) -> Columns:
    """Every character as it reads; of text i those up to `reading_ends[i]`."""
    return _columns(plan, laid, _READINGS, {"reading_ends": _READING_COLUMNS})


def _columns(
    plan: Plan, laid: Laid, asked: int, wanted: Mapping[str, Mapping[str, type]]
) -> Columns:
    """The columns named, each cut after the last text's; with where each text's end."""
    work = _workspace
    counts = work.at_least("counts", laid.size * COUNTED)
    work.fresh("odds", (laid.size, plan.heads), np.float64)
    told = {ends: work.fresh(ends, laid.size) for ends in wanted}
    columns = {name: dtype for by_ends in wanted.values() for name, dtype in by_ends.items()}
    told |= _call(plan, laid, asked, columns)
    for ends, by_ends in wanted.items():
        last = int(told[ends][-1]) if laid.size else 0
        for name, dtype in by_ends.items():
            told[name] = told[name][:last] if name in told else np.empty(0, dtype)
    told["counts"] = counts[: laid.size * COUNTED].reshape(laid.size, COUNTED).copy()
    work.shrink()
    return told


def _call(plan: Plan, laid: Laid, asked: int, columns: Mapping[str, type] | None = None) -> Columns:
    """Let C read the texts; the columns come back with more room than there are answers."""
    work = _workspace
    call = work.call
    told: Columns = {}
    call.texts, call.texts_size = laid.rows.buffer_info()[0], laid.size
    call.typed, call.bare = laid.typed, laid.bare
    call.origins = None if laid.origins is None else laid.origins.ctypes.data
    call.asked = asked
    call.characters_size = 0
    call.grams_size = work.bytes_of("row_places") // 4 if asked & _ROWS else 0
    while True:
        call.room_size = work.bytes_of("room")
        call.unknown_size = _UNKNOWN
        status = _read(plan._c, call)
        if status == _DONE:
            return told
        if status == _IMPOSSIBLE:
            raise ValueError("a text is too long, or of a field that there is not")
        if status == _UNKNOWN_CHARACTERS:
            meet(set(work.unknown[: call.unknown_size].tolist()))
            continue
        work.at_least("room", call.room_size, np.uint8)
        if asked & _ROWS:
            work.at_least("row_places", call.grams_size, np.int32)
            work.at_least("row_values", call.grams_size, np.float32)
        size = call.grams_size if asked & _GRAMS else call.characters_size
        for name, dtype in (columns or {}).items():
            told[name] = work.fresh(name, size, dtype)
