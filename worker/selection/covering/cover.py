"""Searches k centres that leave no row farther than a radius: local search for set cover with weights."""

import numpy as np
from numpy.typing import NDArray

from worker.selection.covering.products import Rows

Table = NDArray[np.float32]

_REST = 2
"""Swaps during which a centre that left may not return, and one that came may not leave."""


def cover(
    table: Table, start: Rows, radius: float, *, swaps: int, rng: np.random.Generator
) -> tuple[Rows, bool, int]:
    """Return (k,) columns of the (s, c) table of distances, whether they reach every row, and the swaps taken.

    Each swap brings in the column that gains most among those that reach one uncovered row, drawn at random, and lets
    go the one that loses least. Rows that stay uncovered gain weight, which leads out of local optima (M. Yagiura,
    M. Kishida and T. Ibaraki, A 3-flip neighborhood local search for the set covering problem, 2006, weigh so too).
    Memory: 4 bytes an entry of the table, and 8 * s * k.
    """
    inside = (table <= np.float32(radius)).astype(np.float32)
    centres = start.copy()
    reach = inside[:, centres]
    count = reach.sum(axis=1)
    weights = np.ones(len(table), np.float32)
    gain = weights[count == 0] @ inside[count == 0]
    left_until = np.zeros(table.shape[1], np.int64)
    came_until = np.zeros(len(centres), np.int64)
    for swap in range(swaps):
        uncovered = np.flatnonzero(count == 0)
        if not len(uncovered):
            return centres, True, swap
        row = int(rng.choice(uncovered))
        weights[row] += 1
        gain += inside[row]
        able = np.flatnonzero((inside[row] > 0) & (left_until <= swap))
        if not len(able):
            continue
        comes = int(able[gain[able].argmax()])
        loss = np.where(count == 1, weights, 0) @ reach
        loss[came_until > swap] = np.inf
        place = int(loss.argmin())
        left_until[centres[place]] = came_until[place] = swap + 1 + _REST
        before = count == 0
        count += inside[:, comes] - reach[:, place]
        reach[:, place] = inside[:, comes]
        centres[place] = comes
        won, lost = before & (count > 0), ~before & (count == 0)
        gain += weights[lost] @ inside[lost] - weights[won] @ inside[won]
    return centres, False, swaps
