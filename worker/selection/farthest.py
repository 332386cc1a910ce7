"""Exact farthest-first traversal (greedy k-center), many picks a pass over the data.

Gonzalez, Clustering to minimize the maximum intercluster distance, 1985. Adding a centre only lowers distances
to the nearest centre, so old ones are upper bounds. Each pass takes the block of candidates with the largest
bounds, computes their true values, and goes on picking inside the block as long as the best value there exceeds the
bound of everything outside; then all picks are applied to all rows in one matrix product. Bounds decide only how
long a block lasts; values by differences in float64 decide every pick, so picks do not depend on tiles, threads or
device.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.selection.bounds import Rows, UpperBounds, upper_bounds
from worker.selection.exact import squared_distances

TIE = 1e-12
"""Squared distances that differ by less, relative to the larger one, are equal; then the lowest row wins."""

_BLOCK_ROWS = 1024
_FILTERED_ROWS = 4096
"""A block of at most this many rows (64 MiB of bounds) is filtered by products before distances are computed."""


@dataclass(frozen=True, slots=True)
class Traversal:
    """Rows in pick order, and how far each was from all earlier ones.

    `rows` is (k,). `distances` is (k,), not increasing: the distance to the nearest earlier pick or preselected row
    at the time of picking. With nothing preselected the first pick has no such distance; it carries that of the
    second, which is the distance from the first to the candidate farthest from it (0 with a single candidate).
    `radius` is the largest distance from a candidate to its nearest selected row after the last pick.
    `passes` counts matrix products over all candidates.
    """

    rows: Rows
    distances: NDArray[np.float64]
    radius: float
    passes: int


def farthest_first(
    embeddings: NDArray[np.float32],
    n: int,
    *,
    candidates: Rows | None = None,
    preselected: Rows | None = None,
    device: str = "cpu",
    tile_bytes: int = 2**23,
    block_rows: int = _BLOCK_ROWS,
) -> Traversal:
    """Pick n candidates (all, if there are fewer), each the farthest from what is selected before it.

    Args:
        embeddings: (rows, d), finite.
        n: how many to pick, at least 1.
        candidates: ascending rows that may be picked; all when None. At least one, none of them preselected.
        preselected: rows that count as selected before the first pick. With none, the first pick is the
            first candidate.
        device: torch's name of it.
        tile_bytes: of the working tile; it bounds memory and never changes the result.
        block_rows: candidates looked at closely in a pass; changes speed only.

    Memory beside the embeddings: 24 bytes a row while starting and 16 then; `tile_bytes`; 20 * d * block_rows +
    4 * block_rows ** 2. Mass ties enlarge the block, at worst to all candidates, 4 * d + 40 bytes each.
    """
    rows = np.arange(len(embeddings)) if candidates is None else candidates
    started = np.empty(0, np.int64) if preselected is None else preselected
    wanted = min(n + 1, len(rows))  # one more than asked for: its distance is the covering radius
    with upper_bounds(embeddings, rows, device=device, tile_bytes=tile_bytes) as bounds:
        picks, squares, passes = _traverse(bounds, wanted, started, block_rows)
    distances = np.sqrt(np.array(squares))
    if not len(started):
        distances[0] = distances[1] if len(distances) > 1 else 0.0
    radius = float(distances[n]) if len(picks) > n else 0.0
    return Traversal(rows[picks[:n]], distances[:n], radius, passes)


def _traverse(
    bounds: UpperBounds, wanted: int, preselected: Rows, block_rows: int
) -> tuple[list[int], list[float], int]:
    """Return positions among the candidates in pick order, squared distances when picked, and passes."""
    picks: list[int] = []
    squares: list[float] = []
    if len(preselected):
        bounds.add(preselected)
    else:
        picks, squares = [0], [math.nan]
        _apply(bounds, np.zeros(1, np.int64))
    passes, size = 1, block_rows
    while len(picks) < wanted:
        positions, ceiling = bounds.top(size)
        found, values = _pick_in_block(bounds, positions, ceiling, wanted - len(picks))
        picks.extend(found)
        squares.extend(values)
        # No pick: so many candidates are level with the best that the block could not hold them.
        size = block_rows if found else size * 4
        if found and len(picks) < wanted:
            _apply(bounds, np.array(found))
            passes += 1
    return picks, squares, passes


def _apply(bounds: UpperBounds, positions: Rows) -> None:
    bounds.add(bounds.candidates[positions])
    bounds.exclude(positions)


def _pick_in_block(
    bounds: UpperBounds, positions: Rows, ceiling: float, most: int
) -> tuple[list[int], list[float]]:
    """Return positions in pick order, and their squared distances when picked.

    `ceiling` bounds the squared distance of every candidate outside; a pick must exceed it by more than a tie.
    """
    block = bounds.embeddings[bounds.candidates[positions]]
    squares = bounds.exact(positions)
    # Most distances inside the block are known to be too large to matter; a huge block does without.
    lower = bounds.lower_between(positions) if len(block) <= _FILTERED_ROWS else None
    everyone = np.arange(len(block))
    picks: list[int] = []
    values: list[float] = []
    while len(picks) < most:
        highest = squares.max()
        if highest * (1 - TIE) <= ceiling:
            break
        if highest == 0:  # every candidate coincides with a selected one: row order
            left = positions[squares == 0][: most - len(picks)]
            return picks + left.tolist(), values + [0.0] * len(left)
        best = int((squares >= highest * (1 - TIE)).argmax())
        picks.append(int(positions[best]))
        values.append(float(squares[best]))
        squares[best] = -math.inf
        nearer = everyone if lower is None else np.flatnonzero(lower[best] < squares * bounds.scale**2)
        squares[nearer] = np.minimum(
            squares[nearer], squared_distances(block[nearer], block[best : best + 1])
        )
    return picks, values
