"""Groups become units, which a selection picks whole, and picked units become rows again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from worker.selection.gates.quotas import UnitQuota
from worker.selection.pool import Pool
from worker.selection.rules import Quota
from worker.selection.terms import Balance, Diversity, Objects, Term, Values, Weights

Rows = NDArray[np.int64]

_PIECE_VALUES = 2**18


@dataclass(frozen=True, slots=True)
class Units:
    """A selection problem whose rows are u units: all candidates of a group, or one row alone.

    Units are in the order of their first rows. `pool`, `terms`, `quotas` and `preselected` mean what they mean for rows;
    `sizes` (u,) counts each unit's rows, which are `rows[starts[unit]:starts[unit + 1]]`, ascending.
    """

    pool: Pool
    terms: tuple[Term, ...]
    sizes: NDArray[np.int64]
    quotas: tuple[UnitQuota, ...]
    preselected: Rows
    rows: Rows
    starts: Rows

    def expand(self, units: Rows) -> Rows:
        """Return the rows of these units, unit by unit, in row order within each."""
        parts = [self.rows[self.starts[unit] : self.starts[unit + 1]] for unit in units.tolist()]
        return np.concatenate([np.empty(0, np.int64), *parts])


def units(
    pool: Pool, terms: Sequence[Term], groups: NDArray[np.int64], quotas: Sequence[Quota], preselected: Rows
) -> Units:
    """Join the candidates of every group into one unit.

    A candidate of group -1, and every preselected row, is a unit of its own. Rows that are neither are in no unit. A
    unit's embedding is the mean of its rows, summed in float64 and stored as float32; it is not normalised again, so
    that it is the point nearest to all of them. Weights and shares are summed, but `stop_below` looks at a unit's
    mean: such a term is split into two, of which the second has these means and strength 0. Objects belong to the unit
    of their row, and quotas count every row.

    Args:
        pool: embeddings and candidates, by row.
        terms: by row, as `checks.check` lets pass.
        groups: (n,) group of each row, or -1.
        quotas: by row.
        preselected: rows that are selected already; if they are candidates as well, they are not picked.

    Memory: 8 * d bytes a unit while summing, then 4 * d a unit and about 40 a row.

    Raises:
        ValueError: groups or labels are not (n,) whole numbers, or preselected rows are not in the pool.
    """
    _check(pool, groups, quotas, preselected)
    members = _members(pool, groups, preselected)
    sizes = np.bincount(members.unit)
    is_candidate = np.ones(len(sizes), np.bool_)
    first = np.cumsum(sizes) - sizes
    own = members.unit_of_row[preselected]
    is_candidate[own] = False
    return Units(
        pool=Pool(_means(pool.embeddings, members.rows, members.unit, sizes), is_candidate),
        terms=tuple(part for term in terms for part in _pooled(term, members, sizes)),
        sizes=sizes,
        quotas=tuple(_counted(quota, members, len(sizes)) for quota in quotas),
        preselected=own,
        rows=members.rows,
        starts=np.append(first, len(members.rows)),
    )


@dataclass(frozen=True, slots=True)
class _Members:
    """(m,) rows with their (m,) units, sorted by unit and then by row, and the (n,) unit of every row, or -1."""

    rows: Rows
    unit: Rows
    unit_of_row: Rows


def _members(pool: Pool, groups: NDArray[np.int64], preselected: Rows) -> _Members:
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
    unit = np.unique(first, return_inverse=True)[1]
    unit_of_row = np.full(len(pool), -1)
    unit_of_row[inside] = unit
    order = np.argsort(unit, kind="stable")
    return _Members(inside[order], unit[order], unit_of_row)


def _means(
    embeddings: NDArray[np.float32], rows: Rows, unit: Rows, sizes: NDArray[np.int64]
) -> NDArray[np.float32]:
    sums = np.zeros((len(sizes), embeddings.shape[1]))
    step = max(1, _PIECE_VALUES // embeddings.shape[1])
    for start in range(0, len(rows), step):
        piece = slice(start, start + step)
        touched, first = np.unique(unit[piece], return_index=True)
        sums[touched] += np.add.reduceat(embeddings[rows[piece]].astype(np.float64), first, axis=0)
    sums /= sizes[:, None]
    return sums.astype(np.float32)


def _pooled(term: Term, members: _Members, sizes: NDArray[np.int64]) -> tuple[Term, ...]:
    match term:
        case Diversity():
            objects = term.objects
            return (replace(term, objects=None if objects is None else _owned(objects, members)),)
        case Balance():
            return (replace(term, shares=_summed(term.shares, members, len(sizes))),)
        case Weights():
            sums = _summed(term.values[:, None], members, len(sizes))[:, 0]
            pooled = replace(term, values=sums, stop_below=None)
            if term.stop_below is None:
                return (pooled,)
            return (pooled, Weights(sums / sizes, strength=0.0, stop_below=term.stop_below))


def _owned(objects: Objects, members: _Members) -> Objects:
    owners = members.unit_of_row[objects.owners]
    order = np.argsort(owners, kind="stable")
    order = order[np.searchsorted(owners[order], 0) :]
    return Objects(objects.embeddings[order], owners[order])


def _summed(values: Values, members: _Members, count: int) -> Values:
    """Return (u, c) sums over the rows of each unit of (n, c) values."""
    sums = np.zeros((count, values.shape[1]))
    np.add.at(sums, members.unit, values[members.rows])
    return sums


def _counted(quota: Quota, members: _Members, count: int) -> UnitQuota:
    labels = quota.labels[members.rows]
    has = labels >= 0
    ones = np.ones(np.count_nonzero(has), np.int64)
    counts = csr_array((ones, (members.unit[has], labels[has])), shape=(count, len(quota.at_least)))
    counts.sum_duplicates()
    return UnitQuota(counts, quota.at_least, quota.at_most)


def _check(pool: Pool, groups: NDArray[np.int64], quotas: Sequence[Quota], preselected: Rows) -> None:
    rows = len(pool)
    named = [("groups", groups), *((f"quota {at}: labels", quota.labels) for at, quota in enumerate(quotas))]
    for name, numbers in named:
        if numbers.shape != (rows,) or numbers.dtype.kind not in "iu":
            raise ValueError(
                f"{name} should be ({rows},) whole numbers, one a row of the pool,"
                f" got {numbers.dtype} of shape {numbers.shape}"
            )
        if len(numbers) and numbers.min() < -1:
            row = int(numbers.argmin())
            raise ValueError(f"{name}: row {row} has {numbers[row]}; choose -1 for none, or 0 and more")
    if len(preselected) and not 0 <= preselected.min() <= preselected.max() < rows:
        raise ValueError(
            f"preselected should be rows from 0 to {rows - 1}, got {preselected.min()} to {preselected.max()}"
        )
