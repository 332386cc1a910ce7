"""Neighbours that another search proposes from float32 distances: measured exactly, and proven complete where they are."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from worker.selection.exact import squared_between
from worker.selection.search.cells import Frame, frame_of

Vectors = NDArray[np.float32]
Squares = NDArray[np.float64]
Rows = NDArray[np.int64]
Propose = Callable[[Vectors, Vectors, int], tuple[NDArray[np.float32], Rows]]

_MOST_MORE = 8


def proven(
    queries: Vectors, base: Vectors, k: int, *, propose: Propose, memory_bytes: int
) -> tuple[Squares, Rows, NDArray[np.bool_]]:
    """Return (q, k) squared distances and rows among the few more than k proposed for each query, and whether none is missing.

    `propose(queries, base, count)` returns (q, count) float32 squared distances and rows, nearest first. What it leaves out is
    no nearer than its last one but for rounding (`cells.py`), so a k-th that is nearer than that is proven.
    """
    frame = frame_of(queries, base)
    wide = min(k + min(k + 1, _MOST_MORE), len(base))
    shifted = _framed(base, frame)
    largest = float(np.einsum("ij,ij->i", shifted, shifted).max())
    squares = np.empty((len(queries), k))
    rows = np.empty((len(queries), k), np.int64)
    sure = np.full(len(queries), wide == len(base))
    step = max(1, memory_bytes // (4 * base.shape[1] + 40 * wide))
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        chunk = _framed(queries[part], frame)
        about, found = propose(chunk, shifted, wide)
        squares[part], rows[part] = best_of(queries[part], base, found, k)
        norms = np.einsum("ij,ij->i", chunk, chunk).astype(np.float64)
        at_least = about[:, -1] - 2 * frame.error * (norms + largest)
        sure[part] |= squares[part, -1] * frame.scale**2 < at_least
    return squares, rows, sure


def best_of(queries: Vectors, base: Vectors, found: Rows, k: int) -> tuple[Squares, Rows]:
    """Return (q, k) exact squared distances and rows of the (q, wide) rows found; infinity for row -1."""
    own = np.repeat(np.arange(len(queries)), found.shape[1])
    squares = squared_between(queries, own, base, found.ravel()).reshape(found.shape)
    squares[found < 0] = np.inf
    order = np.lexsort((found, squares), axis=-1)[:, :k]
    return np.take_along_axis(squares, order, axis=1), np.take_along_axis(found, order, axis=1)


def _framed(vectors: Vectors, frame: Frame) -> Vectors:
    shifted: Vectors = np.ascontiguousarray((vectors - frame.shift) * np.float32(frame.scale))
    return shifted
