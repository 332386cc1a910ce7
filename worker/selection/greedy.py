"""The plain greedy pass for any product of objectives: every step values every candidate."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from worker.selection.objectives import (
    Diversity,
    DiversityObjective,
    Objective,
    Term,
    WeightsObjective,
)
from worker.selection.pool import Pool

TIE = 1e-12
"""Products that differ by less, relative to the larger one, are equal; then the lowest row wins."""

_SMALLEST = 5e-324
"""Stands for an objective of 0, whose logarithm would leave the range of numbers."""


def greedy(
    pool: Pool,
    terms: Sequence[Term],
    n: int,
    *,
    candidates: NDArray[np.int64],
    preselected: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return n of the ascending candidate rows, each with the largest product of objective ** strength.

    An objective of 0 counts as 5e-324, the smallest number there is, so every product can be compared. A diversity
    term says nothing before there is a selected row; with only such terms the first pick is the first candidate.
    O(rows * d) a pick with a diversity term, else O(rows); about 50 bytes a row beside the embeddings.
    """
    objectives = [(_started(term, pool), term) for term in terms]
    for row in preselected.tolist():
        for objective, _ in objectives:
            objective.add(row)
    open_ = np.zeros(len(pool), np.bool_)
    open_[candidates] = True
    picks: list[int] = []
    while len(picks) < n:
        scores = np.where(open_, 0.0, -math.inf)
        for objective, term in objectives:
            scores += _score(objective, term)
        row = int((scores >= scores.max() - TIE).argmax())
        picks.append(row)
        open_[row] = False
        for objective, _ in objectives:
            objective.add(row)
    return np.array(picks, np.int64)


def _started(term: Term, pool: Pool) -> Objective:
    return DiversityObjective(pool) if isinstance(term, Diversity) else WeightsObjective(term.values)


def _score(objective: Objective, term: Term) -> NDArray[np.float64] | float:
    """Return strength * log(objective); a sum of these does not overflow, as a product of powers would."""
    values = objective.values()
    if values is None:
        return 0.0
    return term.strength * np.log(np.maximum(values, _SMALLEST))
