"""Rows of features, packed, and the sums over them that fits ask for: `training/slopes.c`, opened.

Knows the packing and C's structures. Does not know where rows lie, nor what a fit is for.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from model.library import LIBRARY

Floats = NDArray[np.float64]

LONGEST_STEP = 2**16 - 1
"""Places further apart than that take several steps, all but the last without rows."""

MOST_PAIRS = 2**16
"""Of a row and a value: an entry is the number of one."""

MOST_FITS = 64
"""Of one head that are gone over together."""

MOST_ROWS = 2**16 - 1

_int64, _pointer = ctypes.c_int64, ctypes.c_void_p


class _Matrix(ctypes.Structure):
    _fields_ = (
        ("rows", _int64),
        ("stops", _int64),
        ("pairs", _int64),
        ("steps", _pointer),
        ("counts", _pointer),
        ("entries", _pointer),
        ("row", _pointer),
        ("values", _pointer),
    )


class _Taught(ctypes.Structure):
    _fields_ = (
        ("weight", _pointer),
        ("truth", _pointer),
        ("fold", _pointer),
        ("source", _pointer),
    )


class _Fits(ctypes.Structure):
    _fields_ = (
        ("fits", _int64),
        ("fold", _pointer),
        ("source", _pointer),
        ("balance", _pointer),
        ("weights", _pointer),
        ("bias", _pointer),
        ("gradient", _pointer),
        ("slope", _pointer),
        ("loss", _pointer),
        ("odds", _pointer),
    )


def _opened() -> ctypes.CDLL:
    library = ctypes.CDLL(str(LIBRARY))
    if not hasattr(library, "duyet_slopes"):
        raise ImportError(f"{LIBRARY.name} is older than training/slopes.c; run: make install")
    matrix = ctypes.POINTER(_Matrix)
    library.duyet_slopes.argtypes = (matrix, ctypes.POINTER(_Taught), ctypes.POINTER(_Fits))
    library.duyet_slopes.restype = ctypes.c_int
    library.duyet_having.argtypes = (matrix, _pointer, _pointer, _int64, _pointer)
    library.duyet_having.restype = None
    library.duyet_rows_are_whole.argtypes = (matrix, _int64, _int64)
    library.duyet_rows_are_whole.restype = ctypes.c_int
    return library


_LIBRARY = _opened()


class DamagedRows(ValueError):
    """Packed rows name places or values that are not there."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Rows of a matrix by place, in a little more than 2 bytes a value.

    `of` (uint32) says which rows of a shard they are. `steps` and `counts` (uint16) say of each
    place how far it is from the one before it, and how many rows have it; `entries` (uint16) of
    each of those which pair of a row and a value it is. A comment has many features and few values
    that they count: of pair p `row` (uint16) and `values` (float64) are told once.
    """

    of: NDArray[np.uint32]
    steps: NDArray[np.uint16]
    counts: NDArray[np.uint16]
    entries: NDArray[np.uint16]
    row: NDArray[np.uint16]
    values: Floats

    @classmethod
    def parts(cls, matrix: sparse.csr_matrix, rows: NDArray[np.intp]) -> "list[Packed]":
        """Some rows of a matrix of float32, in order: in as many parts as keep to `MOST_PAIRS`.

        Raises ValueError for one row that has more values than that.
        """
        chosen = sparse.csr_matrix(matrix[rows], dtype=np.float32)
        of_entry = np.repeat(np.arange(rows.size, dtype=np.int64), np.diff(chosen.indptr))
        named = of_entry << 32 | chosen.data.view(np.uint32)
        pairs = np.unique(named)
        if pairs.size > MOST_PAIRS or rows.size > MOST_ROWS:
            if rows.size < 2:
                raise ValueError(f"a row has more than {MOST_PAIRS} values")
            halves = np.array_split(rows, 2)
            return [part for half in halves for part in cls.parts(matrix, half)]
        numbers = np.searchsorted(pairs, named)
        entries = sparse.csr_matrix((numbers, chosen.indices, chosen.indptr), chosen.shape).tocsc()
        counts = np.diff(entries.indptr)
        places = np.flatnonzero(counts)
        steps = np.diff(places, prepend=0)
        far = steps // (LONGEST_STEP + 1)
        at = np.cumsum(far + 1) - 1
        stops = int(at[-1]) + 1 if at.size else 0
        told_steps, told_counts = np.full(stops, LONGEST_STEP), np.zeros(stops, np.int64)
        told_steps[at], told_counts[at] = steps - far * LONGEST_STEP, counts[places]
        return [
            cls(
                rows.astype(np.uint32),
                told_steps.astype(np.uint16),
                told_counts.astype(np.uint16),
                entries.data.astype(np.uint16),
                (pairs >> 32).astype(np.uint16),
                pairs.astype(np.uint32).view(np.float32).astype(np.float64),
            )
        ]

    @property
    def nbytes(self) -> int:
        """What they take in memory."""
        return sum(array.nbytes for array in self.arrays().values())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The fields by name."""
        return {name: getattr(self, name) for name in self.__slots__}

    def checked(self, places: int) -> "Packed":
        """The same. Raises DamagedRows where they name what is not among so many places."""
        told = self.arrays()
        types = {name: array.dtype for name, array in told.items()}
        right = types == dict.fromkeys(told, np.dtype(np.uint16)) | {
            "of": np.dtype(np.uint32),
            "values": np.dtype(np.float64),
        }
        right = right and all(array.ndim == 1 for array in told.values())
        right = right and self.steps.size == self.counts.size
        right = right and self.row.size == self.values.size
        sizes = (places, self.entries.size)
        if not (right and _LIBRARY.duyet_rows_are_whole(self._c(), *sizes)):
            raise DamagedRows("rows that a training has kept are damaged")
        return self

    def matrix(self, places: int) -> sparse.csr_matrix:
        """The rows as a matrix of float64."""
        by_place = np.repeat(np.cumsum(self.steps, dtype=np.int64), self.counts)
        entries = (self.values[self.entries], (self.row[self.entries], by_place))
        return sparse.csr_matrix(entries, shape=(self.of.size, places))

    def count_into(
        self, counts: Floats, columns: NDArray[np.int64], *, squares_of: Floats | None = None
    ) -> None:
        """Count which rows have each place; `columns` says of each row in which column, -1 in none.

        `counts` has shape (places, columns). With `squares_of` each counts as that, of the row,
        times the square of its value.
        """
        within = columns.size == 0 or -1 <= columns.min() <= columns.max() < counts.shape[1]
        weighed = squares_of is None or squares_of.shape == columns.shape
        if not (within and weighed and columns.size == self.of.size and counts.flags.c_contiguous):
            raise ValueError("rows and columns do not belong together")
        told = np.ascontiguousarray(columns, np.int64)
        weight = None if squares_of is None else np.ascontiguousarray(squares_of, np.float64)
        _LIBRARY.duyet_having(
            self._c(),
            told.ctypes.data,
            None if weight is None else weight.ctypes.data,
            counts.shape[1],
            counts.ctypes.data,
        )

    def _c(self) -> _Matrix:
        arrays = (self.steps, self.counts, self.entries, self.row, self.values)
        sizes = (self.of.size, self.steps.size, self.row.size)
        return _Matrix(*sizes, *(array.ctypes.data for array in arrays))


@dataclass(frozen=True, slots=True)
class Teaching:
    """What rows teach a head, a value each: float64, bool, uint8 and uint32."""

    weight: Floats
    truth: NDArray[np.bool_]
    fold: NDArray[np.uint8]
    source: NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Sides:
    """Fits of one head: without which fold and source, -1 for none, and how sides are balanced.

    `fold` and `source` are int64, a fit each; `balance` has shape (fits, 2), of the negative and
    the positive side.
    """

    fold: NDArray[np.int64]
    source: NDArray[np.int64]
    balance: Floats


@dataclass(frozen=True, slots=True)
class Sums:
    """A fit's sums, or what they are made at: `slope` of shape (places, fits), the others (fits,).

    Views of one array, so that sums of sums are made of the whole. As a point, `slope` has the
    weights.
    """

    slope: Floats
    bias: Floats
    loss: Floats


def size_of(places: int, fits: int) -> int:
    """How long the array of some fits is."""
    return (places + 2) * fits


def sums_in(whole: Floats, places: int, fits: Sequence[int]) -> list[Sums]:
    """The views of an array, for the fits of each head."""
    found, begin = [], 0
    for count in fits:
        of_head = whole[begin : begin + size_of(places, count)]
        body, bias, loss = np.split(of_head, [places * count, (places + 1) * count])
        found.append(Sums(body.reshape(places, count), bias, loss))
        begin += of_head.size
    return found


def add_slopes(into: Sums, at: Sums, rows: Packed, taught: Teaching, sides: Sides) -> None:
    """Add what rows add to the loss and gradient of fits, each at its own weights and bias.

    A fit's sums do not depend on which others there are. Raises ValueError for arrays that do not
    belong together.
    """
    fits = at.slope.shape[1]
    of_rows = (taught.weight, taught.truth, taught.fold, taught.source)
    given = (sides.fold, sides.source, sides.balance, at.slope, at.bias)
    told = (into.slope, into.bias, into.loss)
    fitting = (
        into.slope.shape == at.slope.shape
        and sides.balance.shape == (fits, 2)
        and sides.fold.shape == sides.source.shape == (fits,)
        and all(column.shape == (rows.of.size,) for column in of_rows)
        and 1 <= fits <= MOST_FITS
        and [array.dtype for array in (*of_rows, *given, *told)] == _TYPES
        and all(array.flags.c_contiguous for array in (*of_rows, *given, *told))
    )
    if not fitting:
        raise ValueError("rows, fits and weights do not belong together")
    odds = np.empty((rows.of.size, fits))
    of_fits = _Fits(fits, *(x.ctypes.data for x in (*given, *told, odds)))
    _LIBRARY.duyet_slopes(rows._c(), _Taught(*(x.ctypes.data for x in of_rows)), of_fits)


_TYPES = list(map(np.dtype, ["f8", "?", "u1", "u4", "i8", "i8", *["f8"] * 6]))
