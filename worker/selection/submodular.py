"""One monotone submodular sum, maximised greedily: the mode `submodular`.

f(S) = a F(S) / F* + b W(S) / W* + c B(S) / B*, where a, b, c >= 0 are strengths, terms of a kind add up, and

- F is facility location (`facility.py`): how well S stands for all candidates, typical ones counting more.
- W(S) is the sum of the weights of S.
- B(S) = sum over classes k of sqrt(t_k * m_k(S)), t_k the target, m_k(S) the sum of S's shares of k (`concave.py`).

All are monotone and submodular, and so is their sum. F*, W* and B* make one strength worth as much as another: F* is
what F gains when maximised alone, by the same greedy pass; W* the sum of the n largest weights; B* the upper bound
sqrt(m(P) + the n largest row sums of shares) - B(P) with P the preselected rows, since B(S)^2 <= sum over k of m_k(S)
(Cauchy-Schwarz, the targets adding up to 1), with equality where the shares of S are the target.

So the greedy picks reach at least 1 - 1/e of the largest possible f(P + S) - f(P) over n candidates (Nemhauser,
Wolsey and Fisher, An analysis of approximations for maximizing submodular set functions I, 1978), as long as no rule, minimum distance or
stop closes a candidate. Gains only fall, so old ones are upper bounds, and few candidates are evaluated again for a
pick (Minoux, Accelerated greedy algorithms for maximizing submodular set functions, 1978).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from worker.device import Device
from worker.selection.facility.concave import Additive, Concave
from worker.selection.facility.coverage_tables import Every, Points, side_by_side
from worker.selection.facility.facility import FacilityLocation
from worker.selection.facility.spacing import Spacing
from worker.selection.gates.gate import Gate
from worker.selection.greedy import Ended, is_below
from worker.selection.pool import Pool
from worker.selection.terms import Balance, Diversity, Objects, Term, Values, Weights

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

TIE = 1e-12
"""Gains that differ by less, relative to the larger one, are equal; then the lowest row wins."""

_FIRST_BATCH = 16


@dataclass(frozen=True, slots=True)
class Maximised:
    """Rows in pick order, and why they are fewer than asked for although candidates were left."""

    rows: Rows
    ended: Ended | None = None


def maximise(
    pool: Pool,
    terms: Sequence[Term],
    n: int,
    *,
    device: Device,
    preselected: Rows | None = None,
    gate: Gate | None = None,
    memory_bytes: int = 2**31,
) -> Maximised:
    """Pick n candidates (all, if there are fewer), each with the largest gain of f; the lowest row wins ties.

    Args:
        pool: embeddings and the rows that may be picked.
        terms: a Diversity is a facility location over the candidates' own embeddings, or over their objects. Beside
            one, Weights that are typicality make typical candidates count more in it, by values ** strength, and
            add nothing of their own.
        n: at least 1.
        device: where similarities are computed and kept.
        preselected: rows that count as picked before the first pick.
        gate: closes rows and ends the selection; it was made for the candidates that are not preselected. Without
            one only n does, so `stop_at_sum` needs one.
        memory_bytes: of each facility location's table: see `FacilityLocation`.

    Memory: that of the tables; 8 * c bytes a candidate for a balance of c classes; about 60 a candidate.

    Raises:
        ValueError: a negative strength, a weight target, or too little memory.
    """
    _check(terms)
    started = np.empty(0, np.int64) if preselected is None else preselected
    may = pool.candidates.copy()
    may[started] = False
    candidates = np.flatnonzero(may)
    if not len(candidates):
        return Maximised(candidates)
    rules = Gate(candidates, n, rows=len(pool)) if gate is None else gate
    spacings = [
        Spacing(_points(pool, term, candidates, started, np.ones(len(pool))), term, device)
        for term in terms
        if isinstance(term, Diversity) and term.minimum_distance > 0
    ]
    with side_by_side(device) as every:
        build = _Build(pool, candidates, started, n, device, every, memory_bytes)
        return _pick(build.parts(terms), terms, candidates, rules, spacings)


class _Part(Protocol):
    """One term at work: `bounds` (m,) of what each candidate would add to it, and which of them are `exact`."""

    bounds: Values
    exact: Flags

    def refresh(self, positions: Rows) -> None:
        """Make the bounds of these candidates exact."""

    def add(self, position: int) -> None:
        """Select this candidate."""


_Parts = Sequence[tuple[float, _Part]]


def _pick(
    parts: _Parts,
    terms: Sequence[Term],
    candidates: Rows,
    gate: Gate,
    spacings: Sequence[Spacing],
) -> Maximised:
    left = np.ones(len(candidates), np.bool_)
    open_ = left.copy()
    open_[np.searchsorted(candidates, gate.start())] = False
    picks: list[int] = []
    while not gate.done:
        for spacing in spacings:
            if spacing.skips:
                open_ &= ~spacing.too_close
        if not open_.any():
            return Maximised(candidates[picks], "too_close" if left.any() else None)
        best = _best(parts, open_)
        row = int(candidates[best])
        if any(spacing.too_close[best] for spacing in spacings):
            return Maximised(candidates[picks], "too_close")
        if any(is_below(term, row) for term in terms):
            return Maximised(candidates[picks], "minimum_typicality")
        picks.append(best)
        left[best] = open_[best] = False
        open_[np.searchsorted(candidates, gate.picked(row))] = False
        for _, part in parts:
            part.add(best)
        for spacing in spacings:
            spacing.add(best)
    return Maximised(candidates[picks], gate.ended)


def _best(parts: _Parts, open_: Flags) -> int:
    """Return the first open candidate whose gain is within a tie of the largest."""
    upper = np.where(open_, _sum(parts, slice(None)), -math.inf)
    exact = np.logical_and.reduce([part.exact for _, part in parts])
    highest = float(upper[exact & open_].max(initial=-math.inf))
    size = _FIRST_BATCH
    while True:
        # A sum that was rounded differently before may lie a little below what it bounds.
        stale = np.flatnonzero(open_ & ~exact & (upper >= highest * (1 - 2 * TIE)))
        if not len(stale):
            return int((exact & open_ & (upper >= highest * (1 - TIE))).argmax())
        if len(stale) > size:
            stale = stale[np.argpartition(upper[stale], -size)[-size:]]
        for _, part in parts:
            part.refresh(stale)
        upper[stale] = _sum(parts, stale)
        exact[stale] = True
        highest = max(highest, float(upper[stale].max()))
        size *= 2


def _sum(parts: _Parts, positions: Rows | slice) -> Values:
    return np.sum([coefficient * part.bounds[positions] for coefficient, part in parts], axis=0)


@dataclass(frozen=True, slots=True)
class _Build:
    """Makes the parts of f."""

    pool: Pool
    candidates: Rows
    preselected: Rows
    n: int
    device: Device
    every: Every
    memory_bytes: int

    def parts(self, terms: Sequence[Term]) -> _Parts:
        """Return each part with strength / what it reaches alone; nothing of a strength of 0."""
        used = [term for term in terms if term.strength > 0]
        typical: list[Weights] = []
        if any(isinstance(term, Diversity) for term in used):
            typical = [term for term in used if isinstance(term, Weights) and term.is_typicality]
            used = [term for term in used if not isinstance(term, Weights) or not term.is_typicality]
        counts = np.prod([np.ones(len(self.pool)), *(term.values**term.strength for term in typical)], axis=0)
        return [self._part(term, counts, is_alone=len(used) == 1) for term in used]

    def _part(self, term: Term, counts: Values, *, is_alone: bool) -> tuple[float, _Part]:
        n, rows = self.n, self.candidates
        match term:
            case Diversity():
                facility = self._facility(term, counts)
                return _share(term.strength, 1.0 if is_alone else _alone(facility, n)), facility
            case Weights():
                values = term.values[rows]
                return _share(term.strength, float(np.sort(values)[-n:].sum())), Additive(values)
            case Balance():
                balance = Concave(term.shares[rows], term.target, term.shares[self.preselected].sum(axis=0))
                return _share(term.strength, balance.most(n)), balance

    def _facility(self, term: Diversity, counts: Values) -> FacilityLocation:
        points = _points(self.pool, term, self.candidates, self.preselected, counts)
        return FacilityLocation(points, device=self.device, every=self.every, memory_bytes=self.memory_bytes)


def _share(strength: float, most: float) -> float:
    return strength / most if most > 0 else 0.0


def _alone(facility: FacilityLocation, n: int) -> float:
    """Return what the greedy pass reaches with this part alone, and forget its picks."""
    open_ = np.ones(len(facility.bounds), np.bool_)
    total = 0.0
    for _ in range(min(n, len(open_))):
        best = _best([(1.0, facility)], open_)
        total += float(facility.bounds[best])
        open_[best] = False
        facility.add(best)
    facility.restart()
    return total


def _points(pool: Pool, term: Diversity, candidates: Rows, preselected: Rows, counts: Values) -> Points:
    """Return what a diversity term is about: the candidates' own embeddings, or their objects."""
    given = Objects(pool.embeddings, np.arange(len(pool))) if term.objects is None else term.objects
    position = np.full(len(pool), -1)
    position[candidates] = np.arange(len(candidates))
    owners = position[given.owners]
    is_demand = owners >= 0
    return Points(
        vectors=given.embeddings[is_demand],
        owners=owners[is_demand],
        m=len(candidates),
        selected=given.embeddings[np.isin(given.owners, preselected)],
        weights=counts[given.owners[is_demand]],
    )


def _check(terms: Sequence[Term]) -> None:
    for number, term in enumerate(terms):
        name = f"{type(term).__name__.lower()} (term {number})"
        if not term.strength >= 0:
            raise ValueError(
                f"submodular: the strength of {name} should be 0 or more, got {term.strength}; nothing is guaranteed"
                " below, so choose objective_product or gain_product for it"
            )
        if isinstance(term, Weights) and term.target is not None:
            raise ValueError(
                f"submodular: {name} has a target {term.target}, for which nothing is guaranteed; choose"
                " objective_product for it"
            )
