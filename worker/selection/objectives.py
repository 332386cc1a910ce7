"""What a selection is worth: the terms of the product that is maximised, and their values while picking."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from worker.selection.exact import squared_distances
from worker.selection.pool import Pool


@dataclass(frozen=True, slots=True)
class Diversity:
    """Far apart: the objective is the sum of squared nearest-neighbour distances inside the selection."""

    strength: float = 1.0


@dataclass(frozen=True, slots=True)
class Weights:
    """Large values: the objective is the sum of the selection's values, (n,) finite and not negative."""

    values: NDArray[np.float64]
    strength: float = 1.0


Term = Diversity | Weights


class Objective(Protocol):
    """One term at work on one pool."""

    def values(self) -> NDArray[np.float64] | None:
        """Return the (n,) objective of the selection with each row added; None while it says nothing yet."""

    def add(self, row: int) -> None:
        """Make a row part of the selection."""


class DiversityObjective:
    """Sum over the selection of squared nearest-neighbour distances, plus the candidate's own.

    The candidate does not shorten the distances of the others while it is only tried; it does once it is picked.
    A selection of one has no neighbour, so its sum is 0. Memory: 8 bytes a row.
    """

    def __init__(self, pool: Pool) -> None:
        self._embeddings = pool.embeddings
        self._selected: list[int] = []
        self._within = np.empty(0)
        self._nearest = np.full(len(pool), math.inf)

    def values(self) -> NDArray[np.float64] | None:
        """Return (n,) sums of squares, or None for an empty selection."""
        if not self._selected:
            return None
        return self._nearest + (self._within.sum() if len(self._selected) > 1 else 0.0)

    def add(self, row: int) -> None:
        """One pass over the embeddings."""
        squares = squared_distances(self._embeddings, self._embeddings[row : row + 1])
        self._within = np.append(np.minimum(self._within, squares[self._selected]), self._nearest[row])
        self._selected.append(row)
        np.minimum(self._nearest, squares, out=self._nearest)


class WeightsObjective:
    """Sum over the selection of the weights, plus the candidate's own."""

    def __init__(self, weights: NDArray[np.float64]) -> None:
        self._weights = weights
        self._sum = 0.0

    def values(self) -> NDArray[np.float64]:
        """Return (n,) sums."""
        return self._sum + self._weights

    def add(self, row: int) -> None:
        """One addition."""
        self._sum += float(self._weights[row])
