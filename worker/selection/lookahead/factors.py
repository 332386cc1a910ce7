"""The factors of the product as the look-ahead needs them: for any candidates at any time, and how fast they can rise.

A factor is strength * log(objective), relative to that of one candidate: beside a large strength, the small
differences of the other factors then keep their digits. Every pick changes the factors of all others. `rise`
bounds by how much for all of them at once, so that what was known of their products gives a bound still.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from worker.selection.gain import BalanceGain
from worker.selection.objectives import SMALLEST, BalanceObjective, Rows, log
from worker.selection.terms import Values

_MANY = 512
"""So many different rows of shares, or more, are valued where needed and not all of them at every pick."""
_ROUNDING = 1e-13
"""Of the difference of two logarithms, and much more than that."""


@dataclass(slots=True)
class Sum:
    """strength * log(base + x): of squared distances x and their spread as the base, or of weights and their sum."""

    strength: float
    base: float = 0.0
    reference: float = 1.0

    @property
    def slack(self) -> float:
        """What rounding may add to a factor or take from it."""
        return abs(self.strength) * _ROUNDING

    def logs(self, x: Values) -> Values:
        """Return the (m,) factors of (m,) numbers."""
        return self.strength * (log(self.base + x) - log(np.array(self.base + self.reference)))

    def ends(self, x: Values) -> "Ends":
        """Return what `rise` compares with later: the factors of the least and the most of these numbers."""
        least, most = float(x.min()), float(x.max())
        return Ends(least, most, *self._of(least, most))

    def rise(self, since: "Ends") -> float:
        """Return by how much the factor of any number between those ends has risen at most."""
        # The ratio of the sums then and now is monotone in the number.
        at_least, at_most = self._of(since.least, since.most)
        return max(at_least - since.at_least, at_most - since.at_most)

    def _of(self, least: float, most: float) -> tuple[float, float]:
        there = math.log(max(self.base + self.reference, SMALLEST))
        at_least = math.log(max(self.base + least, SMALLEST)) - there
        at_most = math.log(max(self.base + most, SMALLEST)) - there
        return self.strength * at_least, self.strength * at_most


@dataclass(frozen=True, slots=True)
class Ends:
    """Two numbers and their factors at some time."""

    least: float
    most: float
    at_least: float
    at_most: float


@dataclass(slots=True)
class _Share:
    """One balance term at work on groups of candidates."""

    objective: BalanceObjective
    strength: float
    shares: Values
    best: float = 0.0

    def logs(self, shares: Values) -> Values:
        return np.log(self.objective.of_shares(shares))

    def range(self) -> "_Range":
        amounts = self.shares.sum(axis=1)
        return _Range(self.shares.min(axis=0), self.shares.max(axis=0), amounts.min(), amounts.max())


@dataclass(frozen=True, slots=True)
class _Range:
    """The least and the most that any candidate brings of each class, and of all together."""

    least: Values
    most: Values
    least_sum: float
    most_sum: float


@dataclass(frozen=True, slots=True)
class ShareState:
    """What `Shares.rise` compares with: the table, or each term's totals, best and range of logarithms."""

    table: Values
    terms: tuple[tuple[Values, float, float, float], ...] = ()


class Watched(NamedTuple):
    """Candidates of which factors are asked for: (k,) groups, and the (k, c) shares of each term where all differ."""

    groups: Rows
    shares: list[Values]


class Shares:
    """The factors of all balance terms together. Candidates with equal shares form a group."""

    def __init__(self, terms: Sequence[tuple[BalanceObjective, float]], candidates: Rows) -> None:
        codes, first = np.zeros(len(candidates), np.int64), np.zeros(1, np.int64)
        for objective, _ in terms:
            joined = codes * len(objective.distinct) + objective.of[candidates]
            _, first, codes = np.unique(joined, return_index=True, return_inverse=True)
        members = candidates[first]
        self._terms = [_Share(o, strength, o.distinct[o.of[members]]) for o, strength in terms]
        self._ranges = [term.range() for term in self._terms]
        self._groups = codes
        self._are_few = len(members) < _MANY
        self._open = np.bincount(codes)
        self._table = np.zeros(len(members) if self._are_few else 1)
        # A table holds the very numbers that the plain pass computes; bounds of many are computed another way.
        self.slack = sum(abs(strength) for _, strength in terms) * (1e-15 if self._are_few else 1e-11)

    def refer(self) -> None:
        """Value what may still be picked anew; its best, or that of a part, is what factors are relative to from now on."""
        open_ = np.flatnonzero(self._open)[: _MANY if self._are_few else _MANY * 2]
        if not len(open_):
            return
        table = np.zeros(len(self._table))
        for term in self._terms:
            logs = term.logs(term.shares if self._are_few else term.shares[open_])
            among = logs[open_] if self._are_few else logs
            term.best = float(among.max() if term.strength > 0 else among.min())
            if self._are_few:
                table += term.strength * (logs - term.best)
        self._table = table

    def add(self, row: int) -> None:
        """Make a row of the pool part of the selection."""
        for term in self._terms:
            term.objective.add(row)
        if self._are_few and self._terms:
            self.refer()

    def close(self, at: Rows) -> None:
        """Take note of candidates that cannot be picked any more."""
        np.subtract.at(self._open, self._groups[at], 1)

    def watch(self, at: Rows) -> Watched:
        """Return the candidates at (k,) positions for the methods below."""
        groups = self._groups[at]
        return Watched(groups, [] if self._are_few else [term.shares[groups] for term in self._terms])

    def logs(self, of: Watched) -> Values:
        """Return the (k,) factors of candidates."""
        return self._table[of.groups] if self._are_few else self._summed(self._logs(of))

    def peaks(self, of: Watched, others: Values) -> tuple[Values, ShareState]:
        """Return the largest of the factors plus (k,) others, for each group or for all, and what it depends on."""
        if self._are_few:
            peaks = np.full(len(self._table), -math.inf)
            np.maximum.at(peaks, of.groups, others)
            return peaks + self._table, ShareState(self._table)
        logs = self._logs(of)
        terms = tuple(
            (term.objective.totals, term.best, float(own.min()), float(own.max()))
            for term, own in zip(self._terms, logs, strict=True)
        )
        return np.array([(others + self._summed(logs)).max()]), ShareState(self._table, terms)

    def rise(self, since: ShareState) -> Values | float:
        """Return by how much the factors of each group, or of any candidate, have risen at most."""
        if self._are_few:
            return self._table - since.table
        total = 0.0
        for term, ends, (totals, best, least, most) in zip(
            self._terms, self._ranges, since.terms, strict=True
        ):
            change = _gain_change if isinstance(term.objective, BalanceGain) else _objective_change
            low, high = change(term.objective, totals, ends, least, most)
            total += max(term.strength * low, term.strength * high) - term.strength * (term.best - best)
        return total

    def _logs(self, of: Watched) -> list[Values]:
        return [term.logs(shares) for term, shares in zip(self._terms, of.shares, strict=True)]

    def _summed(self, logs: list[Values]) -> Values:
        return sum(
            (t.strength * (own - t.best) for t, own in zip(self._terms, logs, strict=True)), np.zeros(1)
        )


def _objective_change(
    now: BalanceObjective, then: Values, ends: _Range, least: float, most: float
) -> tuple[float, float]:
    """Bound the change of log(1 / CE) of all candidates, which were from least to most.

    A class's share of selection and candidate, (N + s) / (M + m), changes by a ratio that is monotone in s and in m.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        high = _ratio(now.totals, then, ends.least) / _ratio(now.totals.sum(), then.sum(), ends.most_sum)
        low = _ratio(now.totals, then, ends.most) / _ratio(now.totals.sum(), then.sum(), ends.least_sum)
        smallest = (then + ends.least) / (then.sum() + ends.most_sum)
        # 1e-10 is added to both shares, which draws their ratio towards 1, most where the share is smallest.
        high = np.where(high < 1, (high * smallest + 1e-10) / (smallest + 1e-10), high)
    wanted = now.target > 0
    with np.errstate(divide="ignore"):
        lower = float(now.target[wanted] @ np.log(np.minimum(low[wanted], 1.0)))
        upper = float(now.target[wanted] @ np.log(high[wanted]))
    return _of_less(lower - 1e-9, least, most), _of_less(upper + 1e-9, most, least)


def _of_less(less: float, rising: float, falling: float) -> float:
    """Return the change of log(1 / CE) for a CE lowered by this much: CE is exp(-rising) if that is above 0."""
    share = less * math.exp(rising if less > 0 else falling)
    return -math.log1p(-share) if share < 1 else math.inf


def _gain_change(
    now: BalanceObjective, then: Values, ends: _Range, least: float, most: float
) -> tuple[float, float]:
    """Bound the change of log(sum over c of s_c * T_c * (M + m) / (N_c + s_c)) of all candidates."""
    with np.errstate(divide="ignore", invalid="ignore"):
        high = (
            _ratio(now.totals.sum(), then.sum(), ends.least_sum) / _ratio(now.totals, then, ends.most).min()
        )
        low = _ratio(now.totals.sum(), then.sum(), ends.most_sum) / _ratio(now.totals, then, ends.least).max()
        # A candidate without shares keeps its 1.
        return math.log(min(low, 1.0)) if low > 0 else -math.inf, float(np.log(max(high, 1.0)))


def _ratio(now: Values, then: Values, added: Values | float) -> Values:
    return np.where(now == then, 1.0, (now + added) / (then + added))
