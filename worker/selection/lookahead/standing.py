"""How the candidates stand while rows are picked: the product of each, and a bound for many without looking at each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from worker.selection.gain import BalanceGain
from worker.selection.lookahead import factors
from worker.selection.lookahead.factors import Ends, Shares, ShareState, Sum
from worker.selection.lookahead.spread import VectorSpread
from worker.selection.objectives import BalanceObjective, Rows
from worker.selection.pool import Pool
from worker.selection.terms import Balance, Diversity, Mode, Term, Values, Weights


@dataclass(frozen=True, slots=True)
class Peak:
    """The largest logarithms of products at some time, for each group of equal shares or for all, and what made them."""

    largest: Values
    shares: ShareState
    sums: tuple[Ends, ...]
    """Of distances and of each of the weights."""


class Watched(NamedTuple):
    """Candidates that are looked at again and again: their positions, shares and weights, gathered once."""

    at: Rows
    shares: factors.Watched
    weights: list[Values]


class Standing:
    """Positions are places among the (m,) candidate rows. `slack` bounds what rounding does to a logarithm."""

    def __init__(self, pool: Pool, terms: Sequence[Term], candidates: Rows, mode: Mode) -> None:
        self.open = np.ones(len(candidates), np.bool_)
        """(m,) which may still be picked."""
        self._embeddings = pool.embeddings
        self._candidates = candidates
        self._accumulates = mode == "objective_product"
        weights = [term for term in terms if isinstance(term, Weights)]
        self._weights = [(Sum(t.strength), t.values, t.values[candidates]) for t in weights]
        make = BalanceObjective if self._accumulates else BalanceGain
        balance = [
            (make(t.shares, t.target), t.strength) for t in terms if isinstance(t, Balance) and t.strength
        ]
        self._shares = Shares(balance, candidates)
        strength = sum(term.strength for term in terms if isinstance(term, Diversity))
        self._distance = Sum(strength)
        self._spread = VectorSpread(pool.embeddings)
        self.selected = 0
        """How many rows are, preselected ones included."""
        self.slack = self._distance.slack + self._shares.slack + sum(w.slack for w, _, _ in self._weights)

    def add(self, row: int) -> None:
        """Make a row of the pool part of the selection."""
        self.selected += 1
        if self._accumulates:
            self._distance.base = self._spread.add(self._embeddings[row])
            for weights, values, _ in self._weights:
                weights.base += float(values[row])
        self._shares.add(row)

    def close(self, at: Rows) -> None:
        """Let no open candidate at these positions be picked any more."""
        self.open[at] = False
        self._shares.close(at)

    def refer(self, largest_square: float) -> None:
        """Make products relative to what is best now: this squared distance, weight and share."""
        self._distance.reference = float(self._far(np.array(largest_square)))
        for weights, _, own in self._weights:
            weights.reference = float(own[self.open].max() if weights.strength > 0 else own[self.open].min())
        self._shares.refer()

    def watch(self, at: Rows) -> "Watched":
        """Return the candidates at (k,) positions for `products` and `peak`."""
        return Watched(at, self._shares.watch(at), [own[at] for _, _, own in self._weights])

    def products(self, of: "Watched", squares: Values | None) -> Values:
        """Return (k,) logarithms of products at these squared distances; None: they say nothing. Closed ones have -inf."""
        logs = self._sums(of, squares)
        logs += self._shares.logs(of.shares)
        logs[~self.open[of.at]] = -math.inf
        return logs

    def peak(self, of: "Watched", squares: Values) -> Peak:
        """Return the largest product among these candidates, all open, at these squared distances or nearer."""
        largest, shares = self._shares.peaks(of.shares, self._sums(of, squares))
        sums = [self._distance.ends(self._far(squares))]
        sums += [weights.ends(own) for (weights, _, _), own in zip(self._weights, of.weights, strict=True)]
        return Peak(largest, shares, tuple(sums))

    def ceiling(self, peak: Peak) -> float:
        """Return an upper bound of what the largest of those products is now."""
        risen = self._distance.rise(peak.sums[0])
        for (weights, _, _), ends in zip(self._weights, peak.sums[1:], strict=True):
            risen += weights.rise(ends)
        return float((peak.largest + self._shares.rise(peak.shares)).max()) + risen

    def _sums(self, of: "Watched", squares: Values | None) -> Values:
        logs = np.zeros(len(of.at)) if squares is None else self._distance.logs(self._far(squares))
        for (weights, _, _), own in zip(self._weights, of.weights, strict=True):
            logs += weights.logs(own)
        return logs

    def _far(self, squares: Values) -> Values:
        """Return what a distance counts as: its square in an objective, itself in a gain."""
        return squares if self._accumulates else np.sqrt(squares)
