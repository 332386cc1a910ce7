"""The plain greedy pass: every step values every candidate. It defines what the quicker ways must find."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from worker.selection.gain import gain_of
from worker.selection.objectives import Rows, Scores, log, objective_of
from worker.selection.pool import Pool
from worker.selection.terms import Diversity, Mode, Term, Values, Weights

TIE = 1e-12
"""Products that differ by less, relative to the larger one, are equal; then the lowest row wins."""

Ended = Literal["too_close", "max_sum", "minimum_typicality", "rules"]


class Opening(Protocol):
    """Which candidates may still be picked; once closed is closed for good."""

    @property
    def done(self) -> bool:
        """Whether there is no further pick."""

    @property
    def ended(self) -> Ended | None:
        """Why fewer are picked than asked for."""

    def start(self) -> Rows:
        """Return the ascending rows closed from the beginning."""

    def picked(self, row: int) -> Rows:
        """Return the rows closed by this pick, each once at most."""


class _Spaced(Scores, Protocol):
    @property
    def nearest(self) -> Values: ...


@dataclass(frozen=True, slots=True)
class Picks:
    """Rows in pick order, and why they are fewer than asked for."""

    rows: list[int]
    ended: Ended | None


def greedy(
    pool: Pool,
    terms: Sequence[Term],
    n: int,
    *,
    candidates: Rows,
    preselected: Rows,
    gate: Opening,
    mode: Mode = "objective_product",
    sizes: NDArray[np.int64] | None = None,
) -> Picks:
    """Pick from the ascending candidate rows, each time the one with the largest product, until the gate is done.

    An objective of 0 counts as 5e-324, the smallest number there is, so every product can be compared. A diversity
    term says nothing before there is a selected row; with only such terms the first pick is the first candidate.
    `n` and `sizes`: see `objective_of`. O(rows * d) a pick with a diversity term, else O(rows); about 50 bytes a
    row beside the embeddings.
    """
    make = gain_of if mode == "gain_product" else objective_of
    scored = [(make(t, pool, n=n, preselected=preselected, sizes=sizes), t) for t in terms]
    open_ = np.zeros(len(pool), np.bool_)
    open_[candidates] = True
    open_[gate.start()] = False
    picks: list[int] = []
    passed_over = False
    while not gate.done:
        for scores, term in scored:
            if isinstance(term, Diversity) and term.on_too_close == "skip":
                too_close = open_ & _are_too_close(scores, term)
                passed_over |= bool(too_close.any())
                open_[too_close] = False
        if not open_.any():
            return Picks(picks, gate.ended or ("too_close" if passed_over else None))
        totals = np.where(open_, 0.0, -math.inf)
        for scores, term in scored:
            totals += _weighed(scores.values(), term.strength, open_)
        row = int((totals >= totals.max() - TIE).argmax())
        for scores, term in scored:
            if isinstance(term, Diversity) and _are_too_close(scores, term)[row]:
                return Picks(picks, "too_close")
            if is_below(term, row):
                return Picks(picks, "minimum_typicality")
        picks.append(row)
        open_[row] = False
        open_[gate.picked(row)] = False
        for scores, _ in scored:
            scores.add(row)
    return Picks(picks, gate.ended)


def is_below(term: Term, row: int) -> bool:
    """Return whether this best candidate's value is too small to go on."""
    return isinstance(term, Weights) and term.stop_below is not None and term.values[row] < term.stop_below


def _are_too_close(scores: Scores, term: Diversity) -> NDArray[np.bool_]:
    return np.sqrt(cast(_Spaced, scores).nearest) < term.minimum_distance


def _weighed(values: Values | None, strength: float, open_: NDArray[np.bool_]) -> Values | float:
    """Return strength * log(value / the best open value); a sum of these does not overflow, as a product would.

    Beside the best value, differences in other terms are not lost to the rounding of a large strength.
    """
    if values is None:
        return 0.0
    logs = log(values)
    logs -= logs[open_].max() if strength > 0 else logs[open_].min()
    return strength * logs
