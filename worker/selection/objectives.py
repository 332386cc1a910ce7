"""What a selection is worth while it grows: the objective of each term, plainly computed in float64.

`values` says what the objective of the whole selection would be if a row joined, `value` what it is. Rules and
formulas: docs/selection.md.
"""

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from worker.selection.exact import squared_distances
from worker.selection.pool import Pool
from worker.selection.terms import Balance, Diversity, Objects, Term, Values, Weights

Rows = NDArray[np.int64]

SMALLEST = 5e-324
"""Stands for an objective of 0, whose logarithm would leave the range of numbers."""

_PERFECT = 1e-10
"""The least cross-entropy there is: a target of one class, and nothing else selected, gives 0 or a rounding below it."""


def log(values: Values) -> Values:
    """Return logarithms; that of 0 is the smallest number's."""
    return np.log(np.maximum(values, SMALLEST))


class Scores(Protocol):
    """One term at work on one pool."""

    def values(self) -> Values | None:
        """Return (n,) numbers, the larger the better with a positive strength; None while they say nothing yet."""

    def add(self, row: int) -> None:
        """Make a row part of the selection."""


class Objective(Scores, Protocol):
    """One term at work on one pool: `values` are of the selection with each row added."""

    def value(self) -> float:
        """Return the objective of the selection as it is."""


def objective_of(
    term: Term, pool: Pool, *, n: int, preselected: Rows, sizes: NDArray[np.int64] | None = None
) -> Objective:
    """Return the term's objective for n samples, with these rows of the pool selected already.

    `sizes` (rows,): how many samples each row of the pool stands for; one each when None.
    """
    objective: Objective
    match term:
        case Diversity():
            objective = diversity_of(term, pool)
        case Weights(values=values, target=target) if target is not None:
            return TargetObjective(values, target, n, sizes)  # what was selected before is no part of it
        case Weights(values=values):
            objective = WeightsObjective(values)
        case Balance(shares=shares, target=wanted):
            objective = BalanceObjective(shares, wanted)
    for row in preselected.tolist():
        objective.add(row)
    return objective


def diversity_of(term: Diversity, pool: Pool) -> "DiversityObjective | ObjectDiversityObjective":
    """Return the term's objective with nothing selected."""
    if term.objects is None:
        return DiversityObjective(pool.embeddings)
    return ObjectDiversityObjective(term.objects, len(pool))


class Spread:
    """The sum over selected vectors of their squared distances to their nearest other; 0 for a single one."""

    def __init__(self) -> None:
        self._squares = np.empty(0)

    def add(self, to_others: Values) -> None:
        """Take in a vector at these (k,) squared distances from the k before it, in their order; inf where no less."""
        self._squares = np.append(np.minimum(self._squares, to_others), to_others.min(initial=math.inf))

    def sum(self) -> float:
        """Return it."""
        return float(self._squares.sum()) if len(self._squares) > 1 else 0.0


class DiversityObjective:
    """Sum over the selection of squared nearest-neighbour distances, plus the candidate's own.

    The candidate does not shorten the distances of the others while it is only tried; it does once it is picked.
    A selection of one has no neighbour, so its sum is 0. Memory: 8 bytes a row.
    """

    def __init__(self, embeddings: NDArray[np.float32]) -> None:
        self._embeddings = embeddings
        self._selected: list[int] = []
        self._spread = Spread()
        self.nearest = np.full(len(embeddings), math.inf)
        """(n,) squared distances to the nearest selected row, or inf while there is none."""

    def values(self) -> Values | None:
        """Return (n,) sums of squares, or None for an empty selection."""
        return self.nearest + self._spread.sum() if self._selected else None

    def value(self) -> float:
        """Return the sum of squares."""
        return self._spread.sum()

    def add(self, row: int) -> None:
        """One pass over the embeddings."""
        squares = squared_distances(self._embeddings, self._embeddings[row : row + 1])
        self._spread.add(squares[self._selected])
        self._selected.append(row)
        np.minimum(self.nearest, squares, out=self.nearest)


class ObjectDiversityObjective:
    """The same over objects: a candidate counts with the mean over its objects, and joins with all of them.

    Objects of one row are each other's neighbours once selected. A row without objects is worth 0 and far from all.
    """

    def __init__(self, objects: Objects, rows: int) -> None:
        self._objects = DiversityObjective(objects.embeddings)
        self._owners = objects.owners
        self._counts = np.bincount(objects.owners, minlength=rows)
        self._starts = np.concatenate([[0], np.cumsum(self._counts)])

    @property
    def nearest(self) -> Values:
        """(n,) mean squared distances of each row's objects to their nearest selected ones; inf without objects."""
        sums = np.bincount(self._owners, self._objects.nearest, minlength=len(self._counts))
        return np.where(self._counts > 0, sums / np.maximum(self._counts, 1), math.inf)

    def values(self) -> Values:
        """Return (n,) sums of squares, 0 for a row without objects; before any is selected 1 for all others."""
        nearest, owns = self.nearest, self._counts > 0
        some = self._objects.values() is not None
        return np.where(owns, nearest + self.value() if some else 1.0, 0.0)

    def value(self) -> float:
        """Return the sum of squares over the selected objects."""
        return self._objects.value()

    def add(self, row: int) -> None:
        """One pass over all objects for each of the row's."""
        for at in range(self._starts[row], self._starts[row + 1]):
            self._objects.add(at)


class WeightsObjective:
    """Sum over the selection of the weights, plus the candidate's own."""

    def __init__(self, weights: Values) -> None:
        self._weights = weights
        self._sum = 0.0

    def values(self) -> Values:
        """Return (n,) sums."""
        return self._sum + self._weights

    def value(self) -> float:
        """Return the sum."""
        return self._sum

    def add(self, row: int) -> None:
        """One addition."""
        self._sum += float(self._weights[row])


class TargetObjective:
    """1 / (1 + gap / scale): how well the sum of the picks' weights keeps to a line that ends in a range.

    After m of n picks the range is [least * m / n, most * m / n], and the gap is the sum's distance from it. The scale
    is (least + most) / 2, or least where most is infinite, or 1 where that is 0. Preselected rows are no picks.
    """

    def __init__(
        self,
        weights: Values,
        target: tuple[float, float],
        n: int,
        sizes: NDArray[np.int64] | None = None,
    ) -> None:
        self._weights = weights
        self._range = np.array(target)
        self._n = n
        self._sizes = np.ones(1, np.int64) if sizes is None else sizes
        least, most = target
        self.scale = (least if math.isinf(most) else (least + most) / 2) or 1.0
        self._sum = 0.0
        self._picked = 0

    def values(self) -> Values:
        """Return (n,) numbers in (0, 1]."""
        return self._kept(self._sum + self._weights, self._picked + self._sizes)

    def value(self) -> float:
        """Return it for the picks so far; 1 before the first."""
        return float(self._kept(np.array([self._sum]), np.array([self._picked]))[0]) if self._picked else 1.0

    def add(self, row: int) -> None:
        """One addition."""
        self._sum += float(self._weights[row])
        self._picked += int(self._sizes[row if len(self._sizes) > 1 else 0])

    def line(self) -> tuple[float, float, float]:
        """Return the sum, and the range where it should be now."""
        least, most = (self._range * (self._picked / self._n)).tolist() if self._picked else (0.0, 0.0)
        return self._sum, least, most

    def _kept(self, sums: Values, picked: NDArray[np.int64]) -> Values:
        share = picked / self._n
        gaps = np.maximum(self._range[0] * share - sums, sums - self._range[1] * share)
        return 1.0 / (1.0 + np.maximum(gaps, 0.0) / self.scale)


class BalanceObjective:
    """1 / CE with CE = -sum over c of T_c * ln(p_c + 1e-10), p the class shares of the selection and the candidate.

    Where nothing has a share, p is 0. CE is at least 1e-10. Its logarithm is rounded to 12 decimals: shares that
    serve the target equally well then tie, whatever the order of their sum and the strength.
    Equal rows of shares are computed once.
    """

    def __init__(self, shares: Values, target: Values) -> None:
        self.target = target
        self.distinct, self.of = distinct_rows(shares)
        """(u, c) different rows of shares, and the (n,) place of each row's among them."""
        self.totals = np.zeros(shares.shape[1])
        """(c,) sums of the selection's shares."""

    def values(self) -> Values:
        """Return (n,) numbers, the larger the nearer to the target."""
        return self.of_shares(self.distinct)[self.of]

    def of_shares(self, shares: Values) -> Values:
        """Return the (m,) objective of the selection with each of (m, c) rows of shares added."""
        return _inverse_cross_entropy(self.totals + shares, self.target)

    def value(self) -> float:
        """Return it for the selection as it is."""
        return float(_inverse_cross_entropy(self.totals[None], self.target)[0])

    def add(self, row: int) -> None:
        """One addition a class."""
        self.totals = self.totals + self.distinct[self.of[row]]


def distinct_rows(rows: Values) -> tuple[Values, Rows]:
    """Return the (u, c) different ones of (n, c) rows, and the (n,) place of each row among them.

    Where of a thousand rows more than half are different, all are taken to be.
    """
    contiguous = np.ascontiguousarray(rows + 0.0)  # -0 becomes 0: equal numbers have equal bytes
    as_bytes = contiguous.view(np.dtype((np.void, contiguous.itemsize * contiguous.shape[1])))[:, 0]
    probe = as_bytes[:: max(1, len(rows) // 1024)]
    if len(rows) > 1024 and len(np.unique(probe)) > len(probe) / 2:
        return contiguous, np.arange(len(rows))
    _, first, of = np.unique(as_bytes, return_index=True, return_inverse=True)
    return contiguous[first], of


def _inverse_cross_entropy(totals: Values, target: Values) -> Values:
    shares = totals / np.maximum(totals.sum(axis=1, keepdims=True), SMALLEST)
    shares += 1e-10
    crossed = -np.einsum("ij,j->i", np.log(shares, out=shares), target)
    return np.exp(-np.round(np.log(np.maximum(crossed, _PERFECT)), 12))
