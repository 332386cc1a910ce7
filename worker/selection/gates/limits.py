"""Closing without look-ahead: what no longer fits, and what one key's at_least keeps for others.

A cell is a set of candidates that the rules cannot tell apart: same size, same counts. Each cell is named as closed
once at most, and all closing together costs O(cells + entries of the counts).
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Rows = NDArray[np.int64]
Whole = NDArray[np.int64]

_NONE = np.empty(0, np.int64)


class Closing(Protocol):
    """Which cells may still be picked from."""

    def start(self) -> Rows:
        """Return the cells that are closed from the beginning; called once, first."""
        ...

    def picked(self, cell: int) -> Rows:
        """Take note of a pick and return the cells that it closes."""
        ...


class Limits:
    """Closes what is larger than the rows that are left, or brings more of a value than its at_most leaves room for.

    Args:
        sizes: (c,) rows of one pick from each cell.
        counts: (c, v) rows of each value in one pick.
        at_most: (v,).
        n: rows in all.
    """

    def __init__(self, sizes: Whole, counts: csr_array, at_most: Whole, n: int) -> None:
        self._sizes = sizes
        self._counts = counts
        self._room = at_most.copy()
        self._left = n
        self._by_size = _Falling(np.arange(len(sizes)), sizes)
        columns = counts.tocsc()
        self._by_count = [
            _Falling(columns.indices[first:end], columns.data[first:end])
            for first, end in zip(columns.indptr[:-1].tolist(), columns.indptr[1:].tolist(), strict=True)
        ]

    def start(self) -> Rows:
        """Return the cells that do not fit even into an empty selection."""
        return self._too_large(range(len(self._by_count)))

    def picked(self, cell: int) -> Rows:
        """Return the cells that no longer fit after a pick from this one."""
        entries = slice(self._counts.indptr[cell], self._counts.indptr[cell + 1])
        values = self._counts.indices[entries]
        self._room[values] -= self._counts.data[entries]
        self._left -= int(self._sizes[cell])
        return self._too_large(values.tolist())

    def _too_large(self, values: "range | list[int]") -> Rows:
        found = [self._by_count[value].above(int(self._room[value])) for value in values]
        return np.unique(np.concatenate([self._by_size.above(self._left), *found]))


class OneKey:
    """`Limits` for picks of one row and the values of one key, whose at_least are kept free as well.

    As long as more rows are left than the values still ask for, anything may be picked; from then on only they.
    """

    def __init__(self, counts: csr_array, at_least: Whole, at_most: Whole, n: int) -> None:
        self._limits = Limits(np.ones(counts.shape[0], np.int64), counts, at_most, n)
        self._value = np.full(counts.shape[0], -1)
        self._value[np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))] = counts.indices
        self._need = np.append(at_least, 0)  # the last is for cells without a value
        self._spare = n - int(at_least.sum())

    def start(self) -> Rows:
        """Return the cells that are closed from the beginning."""
        return np.union1d(self._limits.start(), self._not_needed() if self._spare == 0 else _NONE)

    def picked(self, cell: int) -> Rows:
        """Return the cells that a pick from this one closes."""
        full = self._limits.picked(cell)
        value = self._value[cell]
        if self._need[value] > 0:
            self._need[value] -= 1
            kept = np.array([cell]) if self._spare == 0 and self._need[value] == 0 else _NONE
        else:
            self._spare -= 1
            kept = self._not_needed() if self._spare == 0 else _NONE
        return np.union1d(full, kept)

    def _not_needed(self) -> Rows:
        return np.flatnonzero(self._need[self._value] == 0)


class _Falling:
    """Cells from the largest amount to the smallest; those above a falling limit are given out once."""

    def __init__(self, cells: Rows, amounts: Whole) -> None:
        order = np.argsort(-amounts, kind="stable")
        self._cells = cells[order].astype(np.int64)
        self._rising = -amounts[order]
        self._given = 0

    def above(self, limit: int) -> Rows:
        first = self._given
        self._given = max(first, int(np.searchsorted(self._rising, -limit, side="left")))
        return self._cells[first : self._given]
