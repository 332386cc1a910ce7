"""What a candidate itself brings: the scores whose product the mode gain_product maximises.

Unlike an objective of the whole selection, to which one row among many adds little, a score keeps its full contrast
however much is selected. A constant factor in a score changes nothing. Product of scores: LightlyOne's earlier rule;
for weights and distance it is weighted farthest-first (Dyer and Frieze, A simple heuristic for the p-centre
problem, 1985).
"""

import numpy as np
from numpy.typing import NDArray

from worker.selection.objectives import (
    SMALLEST,
    BalanceObjective,
    DiversityObjective,
    ObjectDiversityObjective,
    Scores,
    TargetObjective,
    WeightsObjective,
    diversity_of,
    log,
)
from worker.selection.pool import Pool
from worker.selection.terms import Balance, Diversity, Term, Values, Weights

Rows = NDArray[np.int64]


def gain_of(
    term: Term, pool: Pool, *, n: int, preselected: Rows, sizes: NDArray[np.int64] | None = None
) -> Scores:
    """Return the term's scores for n samples, with these rows of the pool selected already: see `objective_of`."""
    gain: Scores
    match term:
        case Diversity():
            gain = DistanceGain(diversity_of(term, pool))
        case Weights(values=values, target=target) if target is not None:
            return TargetGain(values, target, n, sizes)
        case Weights(values=values):
            gain = WeightsGain(values)
        case Balance(shares=shares, target=wanted):
            gain = BalanceGain(shares, wanted)
    for row in preselected.tolist():
        gain.add(row)
    return gain


class DistanceGain:
    """The distance to what is selected; over objects, the root of their mean squared distance."""

    def __init__(self, diversity: DiversityObjective | ObjectDiversityObjective) -> None:
        self._diversity = diversity

    @property
    def nearest(self) -> Values:
        """(n,) squared distances; inf while nothing is selected, or without objects."""
        return self._diversity.nearest

    def values(self) -> Values | None:
        """Return (n,) distances; where these say nothing yet, what the objective says."""
        objectives = self._diversity.values()
        if objectives is None:
            return None
        nearest = self._diversity.nearest
        return np.where(np.isfinite(nearest), np.sqrt(nearest), objectives)

    def add(self, row: int) -> None:
        """Make a row part of the selection."""
        self._diversity.add(row)


class WeightsGain(WeightsObjective):
    """The candidate's weight."""

    def values(self) -> Values:
        """Return the (n,) weights."""
        return self._weights


class TargetGain(TargetObjective):
    """The objective with the scale of one pick, scale / n, in place of that of all n."""

    def __init__(
        self,
        weights: Values,
        target: tuple[float, float],
        n: int,
        sizes: NDArray[np.int64] | None = None,
    ) -> None:
        super().__init__(weights, target, n, sizes)
        self.scale /= n


class BalanceGain(BalanceObjective):
    """How much the target asks for what a candidate brings: mean over its shares of T_c / p_c, p with it added.

    1 for what is exactly in proportion, more for what is missing, less for what abounds; 1 without any share. It is
    the slope of the cross-entropy: with M the sum of all shares, adding little of class c lowers it by (T_c / p_c - 1) / M.
    Rounded to 12 digits, for the same reason as the objective.
    """

    def of_shares(self, shares: Values) -> Values:
        """Return the (m,) scores of (m, c) rows of shares."""
        brought = shares.sum(axis=1)
        totals = self.totals + shares
        asked = np.divide(shares * self.target, totals, out=np.zeros_like(totals), where=shares > 0).sum(
            axis=1
        )
        scores = asked * totals.sum(axis=1) / np.maximum(brought, SMALLEST)
        rounded = np.exp(np.round(log(scores), 12))
        return np.where(brought > 0, rounded, 1.0)
