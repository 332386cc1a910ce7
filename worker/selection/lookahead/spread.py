"""The sum of squared nearest-neighbour distances inside a growing selection, quicker than by all distances."""

import math

import numpy as np
from numpy.typing import NDArray

from worker.selection.exact import squared_distances

_UNDERFLOW = 2.0**-100


class VectorSpread:
    """What `Spread` says, to the same last digit: differences in float64 decide wherever float32 products leave a doubt.

    With u = 2**-24, a product of float32 vectors a and c gives |a - c|^2 to within (2d + 32)u(|a|^2 + |c|^2): see `frame.py`.
    O(d) in float32 a vector taken in before. Memory: 8 * d bytes a vector.
    """

    def __init__(self, embeddings: NDArray[np.float32]) -> None:
        dimension = embeddings.shape[1]
        self._shift = embeddings[:: max(1, len(embeddings) // 4096)].mean(axis=0, dtype=np.float64)
        largest = (
            max(float(embeddings.max(initial=0)), -float(embeddings.min(initial=0)))
            * math.sqrt(dimension)
            * 2
        )
        self._scale = 2.0 ** -math.ceil(math.log2(largest)) if largest > 0 else 1.0
        self._error = 1.01 * (2 * dimension + 32) * 2.0**-24
        self._count = 0
        self._vectors = np.empty((64, dimension), np.float32)
        self._placed = np.empty((64, dimension), np.float32)
        self._doubts = np.empty(64, np.float32)
        self._norms = np.empty(64, np.float32)
        self._squares = np.empty(64)

    def add(self, vector: NDArray[np.float32]) -> float:
        """Take in a (d,) vector and return the sum, 0 for a single one."""
        if self._count == len(self._squares):
            self._grow()
        count = self._count
        placed = ((vector - self._shift) * self._scale).astype(np.float32)
        norm = float(placed.astype(np.float64) @ placed)
        doubt = norm * self._error + _UNDERFLOW
        products = self._placed[:count] @ (-2 * placed) + (self._norms[:count] + np.float32(norm))
        doubts = self._doubts[:count] + np.float32(doubt)
        lower, squares = products - doubts, self._squares[:count]
        least = (products + doubts).min(initial=math.inf)
        near = np.flatnonzero((lower <= squares * self._scale**2) | (lower <= least))
        exact = squared_distances(self._vectors[near], vector[None])
        squares[near] = np.minimum(squares[near], exact)
        self._vectors[count], self._placed[count] = vector, placed
        self._doubts[count], self._norms[count] = doubt, norm
        self._squares[count] = exact.min(initial=math.inf)
        self._count += 1
        return float(self._squares[: self._count].sum()) if count else 0.0

    def _grow(self) -> None:
        for name in ("_vectors", "_placed", "_doubts", "_norms", "_squares"):
            array = getattr(self, name)
            setattr(self, name, np.concatenate([array, np.empty_like(array)]))
