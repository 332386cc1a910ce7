"""Which candidates may still be picked, so that every rule is kept in the end."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from worker.selection.gates.apart import Apart
from worker.selection.gates.completion import Completion
from worker.selection.gates.flows import Flow, sides_of
from worker.selection.gates.limits import Closing, Limits, OneKey
from worker.selection.gates.quotas import Table, UnitQuota, profiles, table
from worker.selection.rules import Quota
from worker.selection.terms import Values

Rows = NDArray[np.int64]
Shortfall = tuple[int, int, int, int]

_NONE = np.empty(0, np.int64)


class Gate:
    """Closes candidates that the rules rule out, one pick at a time. A closed row never opens again.

    A row is closed when no way is left to add it and then others so that n rows are not exceeded and every quota
    is met: if a selection cannot be completed, a larger one cannot either. Closing a row for what has been picked
    therefore never needs to be taken back. A row that is too near to a pick is closed too; completions do not
    foresee that, so with `apart` a quota may end up short.

    `done`: no further pick, since n rows are picked, nothing is open, or a sum has reached its stop. `ended`: why, if
    fewer than n were picked while candidates were left; None otherwise.

    Args:
        candidates: (m,) ascending rows that may be picked; neither preselected nor protected ones.
        n: rows wanted, at least 1.
        sizes: (rows,) how many rows each counts for, at least 1; one each when None.
        quotas: bounds by value.
        sums: pairs of (rows,) values and where their sum over picks and preselected rows stops the selection,
            to a tie of 1e-12 relative.
        apart: what may not be near to a pick; its spans are of candidates.
        preselected: rows whose values the sums start from.
        rows: of the pool.

    Memory: about 40 bytes a candidate, 24 more a quota. All closing together costs O(m log m); with at_least in more
    than one key, or together with sizes, `Completion` adds to that.

    Raises:
        QuotaConflict: no selection of at most n candidates meets the quotas.
        ValueError: shapes or numbers do not fit.
    """

    def __init__(
        self,
        candidates: Rows,
        n: int,
        *,
        sizes: NDArray[np.int64] | None = None,
        quotas: Sequence[Quota | UnitQuota] = (),
        sums: Sequence[tuple[Values, float]] = (),
        apart: Sequence[Apart] = (),
        preselected: Rows = _NONE,
        rows: int,
    ) -> None:
        own_sizes = _sizes(sizes, candidates, rows)
        self._table = table(quotas, candidates, n, sizes=own_sizes, rows=rows)
        self._have = np.zeros(len(self._table.labels), np.int64)
        self._sums = [_Sum(values, stop, preselected) for values, stop in sums]
        self._apart = apart
        self._candidates = candidates
        self._sizes = own_sizes
        self._left = n
        self._cell = _cells(self._table, own_sizes)
        self._by_cell = np.argsort(self._cell, kind="stable")
        available = np.bincount(self._cell)
        self._ends = np.cumsum(available)
        self._open = np.ones(len(candidates), np.bool_)
        self._open_count = len(candidates)
        self._unpicked = len(candidates)
        first = self._by_cell[self._ends - available]
        self._closing = _closing(self._table, own_sizes[first], first, available, n)

    @property
    def done(self) -> bool:
        """Whether there is no further pick."""
        return self._left == 0 or self._open_count == 0 or self._sum_reached()

    @property
    def ended(self) -> Literal["max_sum", "rules"] | None:
        """Why fewer rows than asked for were picked, although candidates were left."""
        if not self.done or self._left == 0 or self._unpicked == 0:
            return None
        return "max_sum" if self._sum_reached() else "rules"

    def start(self) -> Rows:
        """Return the ascending rows that are closed from the beginning; called once, before the first pick."""
        closed = self._closed(self._closing.start())
        return self._with_rows(closed, [apart.broken() for apart in self._apart])

    def picked(self, row: int) -> Rows:
        """Take note of a pick and return the ascending rows that it closes, without the pick itself.

        Raises:
            ValueError: the row is not open.
        """
        at = int(np.searchsorted(self._candidates, row))
        if at == len(self._candidates) or self._candidates[at] != row or not self._open[at]:
            raise ValueError(f"row {row} is not open: it is no candidate, was picked before, or was closed")
        self._open[at] = False
        self._open_count -= 1
        self._unpicked -= 1
        self._left -= int(self._sizes[at])
        brought = self._table.counts
        entries = slice(brought.indptr[at], brought.indptr[at + 1])
        self._have[brought.indices[entries]] += brought.data[entries]
        for total in self._sums:
            total.add(row)
        if self.done:
            return _NONE
        closed = self._closed(self._closing.picked(int(self._cell[at])))
        return self._with_rows(closed, [apart.near(row) for apart in self._apart])

    def shortfalls(self) -> list[Shortfall]:
        """Return (quota, label, picked, at_least) of every value of which too few are picked, so far."""
        short = self._have < self._table.at_least
        columns = (self._table.quotas, self._table.labels, self._have, self._table.at_least)
        return list(zip(*(column[short].tolist() for column in columns), strict=True))

    def _sum_reached(self) -> bool:
        return any(total.reached for total in self._sums)

    def _closed(self, cells: Rows) -> Rows:
        """Close what is open in these cells and return its ascending rows."""
        if not len(cells):
            return _NONE
        starts = np.where(cells > 0, self._ends[cells - 1], 0)
        spans = [
            self._by_cell[start:end]
            for start, end in zip(starts.tolist(), self._ends[cells].tolist(), strict=True)
        ]
        return self._close(np.concatenate([_NONE, *spans]))

    def _with_rows(self, closed: Rows, more: Sequence[Rows]) -> Rows:
        """Close more rows, and return them with those that are closed already, ascending."""
        if not more:
            return closed
        at = np.searchsorted(self._candidates, np.unique(np.concatenate(more)))
        return np.sort(np.concatenate([closed, self._close(at)]))

    def _close(self, at: Rows) -> Rows:
        """Close what is open at these places among the candidates and return its ascending rows."""
        at = np.sort(at[self._open[at]])
        self._open[at] = False
        self._open_count -= len(at)
        return self._candidates[at]


class _Sum:
    def __init__(self, values: Values, stop: float, preselected: Rows) -> None:
        self._values = values
        self._enough = stop * (1 - 1e-12)
        self._sum = float(values[preselected].sum())

    @property
    def reached(self) -> bool:
        return self._sum >= self._enough

    def add(self, row: int) -> None:
        self._sum += float(self._values[row])


def _sizes(sizes: NDArray[np.int64] | None, candidates: Rows, rows: int) -> NDArray[np.int64]:
    if sizes is None:
        return np.ones(len(candidates), np.int64)
    if sizes.shape != (rows,) or sizes.dtype.kind not in "iu" or (sizes < 1).any():
        raise ValueError(
            f"sizes should be ({rows},) whole numbers of 1 or more, got {sizes.dtype} of shape {sizes.shape}"
        )
    return sizes[candidates]


def _cells(own: Table, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (m,) numbers of the sets of candidates that the rules cannot tell apart."""
    counts = profiles(own.counts)
    return np.unique(counts * (int(sizes.max(initial=0)) + 1) + sizes, return_inverse=True)[1]


def _closing(own: Table, sizes: NDArray[np.int64], first: Rows, available: Rows, n: int) -> Closing:
    """Return the cheapest way of closing that is exact; `first` is a candidate of each cell."""
    counts = own.counts[first]
    if not own.at_least.any():
        return Limits(sizes, counts, own.at_most, n)
    if (sizes != own.step).any():
        return Completion(own, sizes, counts, available, n)
    # Picks that all count for `step` rows are counted as one each.
    ones = csr_array((counts.data // own.step, counts.indices, counts.indptr), shape=counts.shape)
    at_least, at_most, picks = own.at_least // own.step, own.at_most // own.step, n // own.step
    if len(np.unique(own.quotas)) == 1:
        return OneKey(ones, at_least, at_most, picks)
    values = _values(own, ones)
    sides = sides_of(values)
    if sides is None:
        return Completion(own, sizes, counts, available, n)
    flow = Flow(values, sides, available, at_least=at_least, at_most=at_most, n=picks)
    return flow if flow.is_feasible else Completion(own, sizes, counts, available, n)


def _values(own: Table, counts: csr_array) -> NDArray[np.int64]:
    """Return (c, q) columns that cells of one row count for, by quota, or -1."""
    keys, key = np.unique(own.quotas, return_inverse=True)
    values = np.full((counts.shape[0], len(keys)), -1)
    cell = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    values[cell, key[counts.indices]] = counts.indices
    return values
