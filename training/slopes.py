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

from model.kernel import LIBRARY

Floats = NDArray[np.float64]

LONGEST_STEP = 2**16 - 1
"""Places further apart than that take several steps, all but the last of a value of 0."""

MOST_VALUES = 2**16

MOST_FITS = 64
"""Of one head that are gone over together."""

_int64, _pointer = ctypes.c_int64, ctypes.c_void_p


class _Matrix(ctypes.Structure):
    _fields_ = (
        ("rows", _int64),
        ("ends", _pointer),
        ("steps", _pointer),
        ("codes", _pointer),
        ("values", _pointer),
        ("places", _int64),
        ("values_size", _int64),
    )


class _Taught(ctypes.Structure):
    _fields_ = (
        ("heads", _int64),
        ("weight", _pointer),
        ("truth", _pointer),
        ("fold", _pointer),
        ("source", _pointer),
    )


class _Fits(ctypes.Structure):
    _fields_ = (
        ("head", _int64),
        ("fits", _int64),
        ("fold", _pointer),
        ("source", _pointer),
        ("balance", _pointer),
        ("weights", _pointer),
        ("bias", _pointer),
        ("gradient", _pointer),
        ("slope", _pointer),
        ("loss", _pointer),
    )


def _opened() -> ctypes.CDLL:
    library = ctypes.CDLL(str(LIBRARY))
    if not hasattr(library, "duyet_slopes"):
        raise ImportError(f"{LIBRARY.name} is older than training/slopes.c; run: make install")
    library.duyet_slopes.argtypes = tuple(map(ctypes.POINTER, (_Matrix, _Taught, _Fits)))
    library.duyet_slopes.restype = ctypes.c_int
    library.duyet_rows_are_whole.argtypes = (ctypes.POINTER(_Matrix),)
    library.duyet_rows_are_whole.restype = ctypes.c_int
    return library


_LIBRARY = _opened()


class DamagedRows(ValueError):
    """Packed rows name places or values that are not there."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Rows of a CSR matrix in 4 bytes a value.

    Of each value `steps` (uint16) says how far its place is from the one before it in the row, and
    `codes` (uint16) which of `values` (float64) it is. Row n ends at `ends[n + 1]` (int64).
    """

    ends: NDArray[np.int64]
    steps: NDArray[np.uint16]
    codes: NDArray[np.uint16]
    values: Floats

    @classmethod
    def of(cls, matrix: sparse.csr_matrix) -> "Packed":
        """The rows of a matrix whose places are in order. More than `MOST_VALUES` lose digits."""
        places = matrix.indices.astype(np.int64)
        steps = np.diff(places, prepend=0)
        begins = matrix.indptr[:-1][np.diff(matrix.indptr) > 0]
        steps[begins] = places[begins]
        values, codes = _coded(matrix.data.astype(np.float64))
        further = steps // LONGEST_STEP
        ends = matrix.indptr.astype(np.int64)
        if further.any():
            ends = ends + np.concatenate([[0], np.cumsum(further)])[ends]
            at = np.cumsum(further + 1) - 1
            last, code = steps - further * LONGEST_STEP, codes
            steps = np.full(at[-1] + 1, LONGEST_STEP)
            codes = np.zeros(at[-1] + 1, np.int64)
            steps[at], codes[at] = last, code
        return cls(ends, steps.astype(np.uint16), codes.astype(np.uint16), values)

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.ends.size - 1

    @property
    def nbytes(self) -> int:
        """What they take in memory."""
        return sum(array.nbytes for array in self.arrays().values())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The fields by name."""
        return {name: getattr(self, name) for name in self.__slots__}

    def checked(self, places: int) -> "Packed":
        """The same. Raises DamagedRows where they name what is not among so many places."""
        whole = (
            self.rows >= 0
            and self.ends.dtype == np.int64
            and self.steps.dtype == self.codes.dtype == np.uint16
            and self.values.dtype == np.float64
            and self.steps.size == self.codes.size == self.ends[-1]
        )
        if not (whole and _LIBRARY.duyet_rows_are_whole(self._c(places))):
            raise DamagedRows("rows that a training has kept are damaged")
        return self

    def places(self) -> NDArray[np.int64]:
        """The place of each step."""
        running = np.cumsum(self.steps, dtype=np.int64)
        before = np.concatenate([[0], running])[self.ends[:-1]]
        return running - np.repeat(before, np.diff(self.ends))

    def matrix(self, places: int) -> sparse.csr_matrix:
        """The rows as a matrix of float64."""
        parts = (self.values[self.codes], self.places(), self.ends)
        return sparse.csr_matrix(parts, shape=(self.rows, places))

    def _c(self, places: int) -> _Matrix:
        arrays = (self.ends, self.steps, self.codes, self.values)
        return _Matrix(
            self.rows, *(array.ctypes.data for array in arrays), places, self.values.size
        )


def _coded(data: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """The distinct values, first 0, and which of them each is."""
    values, codes = np.unique(data, return_inverse=True)
    for digits in (24, 16, 10):
        if values.size < MOST_VALUES:
            break
        # Of 2**16 values two are less than a part in a thousand apart: this is far finer.
        mantissa, exponent = np.frexp(data)
        values, codes = np.unique(
            np.ldexp(np.round(mantissa * 2.0**digits) / 2.0**digits, exponent), return_inverse=True
        )
    return np.concatenate([[0.0], values]), codes + 1


@dataclass(frozen=True, slots=True)
class Sides:
    """Fits of one head: without which fold and source, -1 for none, and how sides are balanced.

    `fold` and `source` are int64, a fit each; `balance` has shape (fits, 2), of the negative and
    the positive side.
    """

    head: int
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


def add_slopes(
    into: Sums, at: Sums, rows: Packed, taught: dict[str, NDArray[Any]], sides: Sides
) -> None:
    """Add what rows add to the loss and gradient of fits, each at its own weights and bias.

    `taught` are the fields of `training.taught.Rows`. A fit's sums do not depend on which others
    there are. Raises ValueError for arrays that do not belong together.
    """
    places, fits = into.slope.shape
    weight, truth = taught["weight"], taught["truth"]
    fold, source = taught["fold"], taught["source"]
    held = (into.slope, into.bias, into.loss, at.slope, at.bias, weight, truth, fold, source)
    fitting = (
        at.slope.shape == into.slope.shape
        and sides.balance.shape == (fits, 2)
        and sides.fold.shape == sides.source.shape == (fits,)
        and weight.shape == truth.shape
        and weight.shape[0] == fold.size == source.size == rows.rows
        and 0 <= sides.head < weight.shape[1]
        and 1 <= fits <= MOST_FITS
        and (weight.dtype, truth.dtype) == (np.float64, np.bool_)
        and (fold.dtype, source.dtype) == (np.uint8, np.uint32)
        and (sides.fold.dtype, sides.source.dtype) == (np.int64, np.int64)
        and all(array.flags.c_contiguous for array in (*held, sides.balance))
    )
    if not fitting:
        raise ValueError("rows, fits and weights do not belong together")
    of_rows = _Taught(weight.shape[1], *(x.ctypes.data for x in (weight, truth, fold, source)))
    given = (sides.fold, sides.source, sides.balance, at.slope, at.bias)
    told = (into.slope, into.bias, into.loss)
    of_fits = _Fits(sides.head, fits, *(x.ctypes.data for x in (*given, *told)))
    _LIBRARY.duyet_slopes(rows._c(places), of_rows, of_fits)
