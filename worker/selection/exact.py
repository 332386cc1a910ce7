"""Squared distances by differences in float64: the values that decide, free of cancellation."""

import numpy as np
from numpy.typing import NDArray

_CHUNK_VALUES = 2**18
"""Numbers differenced at a time: 2 MiB of float64, which stays in cache."""


def squared_distances(left: NDArray[np.floating], right: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return (m,) squared Euclidean distances between the rows of (m, d) left and those of (m, d) or (1, d) right.

    The sum over d runs in the same order for every row, so a pair has one value wherever it is computed.
    """
    squares = np.empty(len(left), np.float64)
    step = max(1, _CHUNK_VALUES // max(1, left.shape[1]))
    for start in range(0, len(left), step):
        chunk = slice(start, start + step)
        differences = np.subtract(left[chunk], right[chunk] if len(right) > 1 else right, dtype=np.float64)
        np.einsum("ij,ij->i", differences, differences, out=squares[chunk])
    return squares


def squared_between(
    left: NDArray[np.floating],
    left_rows: NDArray[np.int64],
    right: NDArray[np.floating],
    right_rows: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return (p,) squared distances between left[left_rows] and right[right_rows], gathered piece by piece."""
    squares = np.empty(len(left_rows), np.float64)
    step = max(1, _CHUNK_VALUES // max(1, left.shape[1]))
    for start in range(0, len(left_rows), step):
        chunk = slice(start, start + step)
        squares[chunk] = squared_distances(left[left_rows[chunk]], right[right_rows[chunk]])
    return squares
