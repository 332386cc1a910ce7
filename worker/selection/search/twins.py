"""Equal vectors, taken together for a search and told apart again afterwards."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Squares = NDArray[np.float64]
Rows = NDArray[np.int64]

_CHUNK_VALUES = 2**18


@dataclass(frozen=True, slots=True)
class Twins:
    """Which of n vectors are equal: `first` (u,) the lowest row of each kind, ascending; `kind` (n,) of every row."""

    first: Rows
    kind: Rows

    def told_apart(self, squares: Squares, kinds: Rows, k: int) -> tuple[Squares, Rows]:
        """Return the (q, k) nearest rows, given the (q, min(k, u)) nearest kinds; equal ones by row.

        k is at most n.
        """
        if len(self.first) == len(self.kind):
            return squares, self.first[kinds]
        members = np.argsort(self.kind, kind="stable")
        sizes = np.bincount(self.kind)
        starts = np.cumsum(sizes) - sizes
        sizes = np.minimum(sizes, k)
        found = np.empty((len(kinds), k)), np.empty((len(kinds), k), np.int64)
        step = max(1, _CHUNK_VALUES // (kinds.shape[1] * int(sizes.max())))
        for start in range(0, len(kinds), step):
            chunk = slice(start, start + step)
            counts = sizes[kinds[chunk]]
            each = counts.ravel()
            ends = np.cumsum(each)
            rows = members[np.arange(ends[-1]) + np.repeat(starts[kinds[chunk].ravel()] - ends + each, each)]
            values = np.repeat(squares[chunk].ravel(), each)
            query = np.repeat(np.arange(len(counts)), counts.sum(axis=1))
            order = np.lexsort((rows, values, query))
            best = order[np.flatnonzero(np.diff(query, prepend=-1))[:, None] + np.arange(k)]
            found[0][chunk], found[1][chunk] = values[best], rows[best]
        return found


def twins_of(vectors: Vectors) -> Twins:
    """Return which of (n, d) vectors are equal, -0 being 0. Memory: 32 bytes a row."""
    keys = _keys(vectors)
    _, first, kind = np.unique(keys, return_index=True, return_inverse=True)
    if not all(
        np.array_equal(vectors[start : start + 4096], vectors[first[kind[start : start + 4096]]])
        for start in range(0, len(vectors), 4096)
    ):
        _, first, kind = np.unique(vectors, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return Twins(first[order], place[kind.ravel()])


def _keys(vectors: Vectors) -> NDArray[np.uint64]:
    """Return (n,) numbers that are equal for equal vectors, and hardly ever for others."""
    factors = np.random.default_rng(0).integers(2**63, size=vectors.shape[1], dtype=np.uint64) * 2 + 1
    keys = np.empty(len(vectors), np.uint64)
    step = max(1, _CHUNK_VALUES // max(1, vectors.shape[1]))
    for start in range(0, len(vectors), step):
        bits = (vectors[start : start + step] + np.float32(0)).view(np.uint32).astype(np.uint64)
        keys[start : start + step] = (bits * factors).sum(axis=1, dtype=np.uint64)
    return keys
