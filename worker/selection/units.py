"""Groups and windows become units, which a selection picks whole, and picked units become rows again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from worker.selection.gates.apart import Spans
from worker.selection.gates.quotas import UnitQuota
from worker.selection.pool import Pool
from worker.selection.rules import Gap, Pooling, Quota, Rules, Windows
from worker.selection.terms import Balance, Diversity, Objects, Term, Values, Weights
from worker.selection.windows import open_windows

Rows = NDArray[np.int64]

_PIECE_VALUES = 2**18


@dataclass(frozen=True, slots=True)
class Layout:
    """Which rows u units have: unit i has `rows[starts[i] : starts[i] + sizes[i]]`, ascending.

    Units are in the order of their first rows. Units of windows may overlap; of what else there is, each row is in one
    unit at most.
    """

    rows: Rows
    starts: Rows
    sizes: Rows

    def pieces(self, values_a_row: int) -> Iterator["_Piece"]:
        """Yield all units in order, so many at a time that their rows have at most 2**18 values, but one at least."""
        most = max(1, _PIECE_VALUES // values_a_row)
        ends = np.cumsum(self.sizes)
        first = 0
        while first < len(self.sizes):
            before = int(ends[first] - self.sizes[first])
            last = max(first + 1, int(np.searchsorted(ends, before + most, side="right")))
            sizes = self.sizes[first:last]
            yield _Piece(slice(first, last), self.expand(np.arange(first, last)), np.cumsum(sizes) - sizes)
            first = last

    def expand(self, units: Rows) -> Rows:
        """Return the rows of these units, unit by unit, in row order within each."""
        sizes = self.sizes[units]
        offsets = np.cumsum(sizes) - sizes
        return self.rows[np.arange(sizes.sum()) + np.repeat(self.starts[units] - offsets, sizes)]

    def distinct_rows(self, units: Rows) -> int:
        """Return how many different rows these ascending units have."""
        starts, sizes = self.starts[units], self.sizes[units]
        until_next = np.append(np.diff(starts), sizes[-1:])
        return int(np.minimum(sizes, until_next).sum())


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some units, their (m,) rows unit by unit, and the place where the rows of each begin."""

    units: slice
    rows: Rows
    offsets: Rows


@dataclass(frozen=True, slots=True)
class Units:
    """A selection problem whose rows are u units: all candidates of a group, a window, or one row alone.

    `pool`, `terms`, `quotas` and `preselected` mean what they mean for rows; `layout` says which rows a unit has.
    """

    pool: Pool
    terms: tuple[Term, ...]
    quotas: tuple[UnitQuota, ...]
    preselected: Rows
    layout: Layout

    @property
    def sizes(self) -> Rows:
        """(u,) rows of each unit."""
        return self.layout.sizes

    def expand(self, units: Rows) -> Rows:
        """Return the rows of these units, unit by unit, in row order within each."""
        return self.layout.expand(units)


def units(pool: Pool, terms: Sequence[Term], rules: Rules, preselected: Rows) -> Units:
    """Join the candidates of every group, or the rows of every window, into one unit.

    A candidate of group -1, and every preselected row, is a unit of its own; a window with a row that is no candidate
    is none. The other rows are in no unit. A unit's embedding is the mean of its rows, computed in float64 and stored as
    float32; it is not normalised again, so that it is the point nearest to all of them. Weights are summed, but
    `stop_below` looks at a unit's mean: such a term is split into two, of which the second has these means and strength
    0. Windows may be pooled otherwise: by `max`, the largest number of its rows in each dimension stands for all, and
    the largest weight counts once for each of them; by `first`, those of its first row. Shares are summed always, objects
    belong to the unit of their row, and quotas count every row.

    Args:
        pool: embeddings and candidates, by row.
        terms: by row, as `checks.check` lets pass.
        rules: of which groups, windows and quotas count, by row.
        preselected: rows that are selected already; if they are candidates as well, they are not picked.

    Memory: 4 * d bytes a unit and about 40 a row; for windows, about 40 a window.

    Raises:
        ValueError: groups or labels are not (n,) whole numbers, windows are not in the pool or there are groups beside
            them, or preselected rows are not in the pool.
    """
    _check(pool, rules, preselected)
    windows, pooling = rules.windows, "mean" if rules.windows is None else rules.windows.pooling
    layout = (
        _windows(pool, windows, preselected)
        if windows is not None
        else _groups(pool, np.full(len(pool), -1) if rules.groups is None else rules.groups, preselected)
    )
    own = np.searchsorted(layout.rows[layout.starts], preselected)
    is_candidate = np.ones(len(layout.sizes), np.bool_)
    is_candidate[own] = False
    return Units(
        pool=Pool(_embeddings(pool.embeddings, layout, pooling), is_candidate),
        terms=tuple(part for term in terms for part in _pooled(term, layout, pooling, len(pool))),
        quotas=tuple(_counted(quota, layout) for quota in rules.quotas),
        preselected=own,
        layout=layout,
    )


def spans_of_rows(rows: Rows, gap: Gap) -> Spans:
    """Return where these rows are, each its own unit."""
    places = gap.places[rows]
    return Spans(rows, gap.lines[rows], places, places)


def spans_of_units(found: Units, gap: Gap, *, are_windows: bool) -> Spans:
    """Return where units are: a window from its first row to its last, and of a group every row by itself."""
    layout, units = found.layout, np.flatnonzero(found.pool.candidates)
    if are_windows:
        first = layout.rows[layout.starts[units]]
        last = layout.rows[layout.starts[units] + layout.sizes[units] - 1]
        return Spans(units, gap.lines[first], gap.places[first], gap.places[last])
    rows = layout.expand(units)
    places = gap.places[rows]
    return Spans(np.repeat(units, layout.sizes[units]), gap.lines[rows], places, places)


def _groups(pool: Pool, groups: NDArray[np.int64], preselected: Rows) -> Layout:
    is_alone = groups < 0
    is_alone[preselected] = True
    is_inside = pool.candidates.copy()
    is_inside[preselected] = True
    inside = np.flatnonzero(is_inside)
    joined, first = np.unique(groups[inside], return_inverse=True)[1], inside.copy()
    together = ~is_alone[inside]
    lowest = np.full(len(inside), len(pool))
    np.minimum.at(lowest, joined[together], inside[together])
    first[together] = lowest[joined[together]]
    order = np.argsort(first, kind="stable")
    sizes = np.unique(first, return_counts=True)[1]
    return Layout(inside[order], np.cumsum(sizes) - sizes, sizes)


def _windows(pool: Pool, windows: Windows, preselected: Rows) -> Layout:
    free = pool.candidates.copy()
    free[preselected] = False
    starts = open_windows(windows, free).starts
    first = np.concatenate([starts, preselected])
    sizes = np.repeat([windows.length, 1], [len(starts), len(preselected)])
    order = np.argsort(first, kind="stable")
    return Layout(np.arange(len(pool)), first[order], sizes[order])


def _embeddings(embeddings: NDArray[np.float32], layout: Layout, pooling: Pooling) -> NDArray[np.float32]:
    pooled = np.empty((len(layout.sizes), embeddings.shape[1]), np.float32)
    for piece in layout.pieces(embeddings.shape[1]):
        values = embeddings[piece.rows]
        match pooling:
            case "mean":
                sums = np.add.reduceat(values, piece.offsets, axis=0, dtype=np.float64)
                pooled[piece.units] = sums / layout.sizes[piece.units, None]
            case "max":
                pooled[piece.units] = np.maximum.reduceat(values, piece.offsets, axis=0)
            case "first":
                pooled[piece.units] = values[piece.offsets]
    return pooled


def _pooled(term: Term, layout: Layout, pooling: Pooling, rows: int) -> tuple[Term, ...]:
    match term:
        case Diversity():
            objects = term.objects
            return (replace(term, objects=None if objects is None else _owned(objects, layout, rows)),)
        case Balance():
            return (replace(term, shares=_summed(term.shares, layout)),)
        case Weights():
            sums = total_weights(term.values, layout, pooling)
            pooled = replace(term, values=sums, stop_below=None)
            if term.stop_below is None:
                return (pooled,)
            return (pooled, Weights(sums / layout.sizes, strength=0.0, stop_below=term.stop_below))


def total_weights(values: Values, layout: Layout, pooling: Pooling) -> Values:
    """Return (u,) what the (n,) weights of the rows of each unit add up to; pooled ones count once for each row."""
    if pooling == "first":
        return values[layout.rows[layout.starts]] * layout.sizes
    if pooling == "mean":
        return _summed(values[:, None], layout)[:, 0]
    largest = np.empty(len(layout.sizes))
    for piece in layout.pieces(1):
        largest[piece.units] = np.maximum.reduceat(values[piece.rows], piece.offsets)
    return largest * layout.sizes


def _owned(objects: Objects, layout: Layout, rows: int) -> Objects:
    firsts = np.searchsorted(objects.owners, np.arange(rows + 1))
    places, owners = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for piece in layout.pieces(1):
        counts = (firsts[1:] - firsts[:-1])[piece.rows]
        offsets = np.cumsum(counts) - counts
        places.append(np.arange(counts.sum()) + np.repeat(firsts[piece.rows] - offsets, counts))
        of_rows = np.repeat(np.arange(piece.units.start, piece.units.stop), layout.sizes[piece.units])
        owners.append(np.repeat(of_rows, counts))
    return Objects(objects.embeddings[np.concatenate(places)], np.concatenate(owners))


def _summed(values: Values, layout: Layout) -> Values:
    """Return (u, c) sums over the rows of each unit of (n, c) values."""
    sums = np.empty((len(layout.sizes), values.shape[1]))
    for piece in layout.pieces(values.shape[1]):
        sums[piece.units] = np.add.reduceat(values[piece.rows], piece.offsets, axis=0)
    return sums


def _counted(quota: Quota, layout: Layout) -> UnitQuota:
    parts = [csr_array((0, len(quota.at_least)), dtype=np.int64)]
    for piece in layout.pieces(1):
        labels = quota.labels[piece.rows]
        sizes = layout.sizes[piece.units]
        has = labels >= 0
        ones = np.ones(np.count_nonzero(has), np.int64)
        unit = np.repeat(np.arange(len(sizes)), sizes)[has]
        counts = csr_array((ones, (unit, labels[has])), shape=(len(sizes), len(quota.at_least)))
        counts.sum_duplicates()
        parts.append(counts)
    return UnitQuota(csr_array(vstack(parts, format="csr")), quota.at_least, quota.at_most)


def _check(pool: Pool, rules: Rules, preselected: Rows) -> None:
    rows = len(pool)
    named = [(f"quota {at}: labels", quota.labels) for at, quota in enumerate(rules.quotas)]
    for name, numbers in [*([] if rules.groups is None else [("groups", rules.groups)]), *named]:
        if numbers.shape != (rows,) or numbers.dtype.kind not in "iu":
            raise ValueError(
                f"{name} should be ({rows},) whole numbers, one a row of the pool,"
                f" got {numbers.dtype} of shape {numbers.shape}"
            )
        if len(numbers) and numbers.min() < -1:
            row = int(numbers.argmin())
            raise ValueError(f"{name}: row {row} has {numbers[row]}; choose -1 for none, or 0 and more")
    if rules.windows is not None:
        _check_windows(rules.windows, rows, are_groups=rules.groups is not None)
    if len(preselected) and not 0 <= preselected.min() <= preselected.max() < rows:
        raise ValueError(
            f"preselected should be rows from 0 to {rows - 1}, got {preselected.min()} to {preselected.max()}"
        )


def _check_windows(windows: Windows, rows: int, *, are_groups: bool) -> None:
    if are_groups:
        raise ValueError("windows: there are groups beside them; choose one of both")
    starts, length = windows.starts, windows.length
    if length < 1 or (np.diff(starts) <= 0).any():
        raise ValueError(f"windows should have ascending starts and a length of at least 1, got {length}")
    if len(starts) and not 0 <= starts[0] <= starts[-1] + length <= rows:
        raise ValueError(
            f"windows: rows {starts[0]} to {starts[-1] + length - 1} should be from 0 to {rows - 1}"
        )
