"""Exact farthest-first traversal (greedy k-center), many picks a pass over the data.

Gonzalez, Clustering to minimize the maximum intercluster distance, 1985. Adding a centre only lowers distances
to the nearest centre, so old ones are upper bounds. Each pass takes the block of candidates with the largest
bounds, computes their true values, and goes on picking inside the block as long as the best value there exceeds the
bound of everything outside; then the picks become centres, which bounds see when they need to (bounds.py). Bounds
decide only how long a block lasts; values by differences in float64 decide every pick, so picks do not depend on
tiles, threads, device or shards.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from worker.selection.lookahead.block import TIE, Block
from worker.selection.lookahead.bounds import Rows, upper_bounds
from worker.selection.lookahead.frame import Vectors
from worker.selection.lookahead.shards import LocalShard, Shard

__all__ = ["TIE", "Gate", "Traversal", "farthest_first", "traverse"]

_BLOCK_ROWS = 1024


class Gate(Protocol):
    """Which candidates may still be picked. A row once closed never opens again."""

    def start(self) -> Rows:
        """Return the ascending rows that are closed before the first pick."""

    def picked(self, row: int) -> Rows:
        """Return the rows that this pick closes."""

    @property
    def done(self) -> bool:
        """Whether no further pick is wanted."""

    @property
    def ended(self) -> str | None:
        """Why fewer were picked than asked for."""


@dataclass(frozen=True, slots=True)
class Traversal:
    """Rows in pick order, and how far each was from all earlier ones.

    `rows` is (k,). `distances` is (k,), not increasing: the distance to the nearest earlier pick or preselected row
    at the time of picking. With nothing preselected the first pick has no such distance; it carries that of the
    second or, alone, the radius.
    `radius` is the largest distance from a candidate, closed ones included, to its nearest selected row after the
    last pick; 0 if all were picked.
    `passes` counts blocks. `ended` says why fewer were picked than asked for, where something other than their
    number ended it: "too_close", or what the gate says.
    """

    rows: Rows
    distances: NDArray[np.float64]
    radius: float
    passes: int
    ended: str | None = None


def farthest_first(
    embeddings: Vectors,
    n: int,
    *,
    candidates: Rows | None = None,
    preselected: Rows | None = None,
    gate: Gate | None = None,
    minimum_distance: float = 0.0,
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
            first open candidate.
        gate: closes candidates, and may end it; None closes nothing.
        minimum_distance: ends as soon as the farthest open candidate is nearer than this to what is selected.
        device: torch's name of it.
        tile_bytes: of the working tile; it bounds memory and never changes the result.
        block_rows: candidates looked at closely in a pass; changes speed only.

    Memory beside the embeddings, which may be a memmap: 21 bytes a candidate, and up to 50 more while all are brought up
    to date; 4 * d a pick and a preselected row; 28 * d a block row, 32 MiB, and `tile_bytes` or less. So at most as much
    again as the embeddings, where d is 32 or more and not most of the rows are picked. Mass ties enlarge the block,
    at worst to all candidates, 28 * d bytes each. A GPU holds the embeddings once more if they fit there.
    """
    rows = np.arange(len(embeddings)) if candidates is None else candidates
    with upper_bounds(embeddings, rows, device=device, tile_bytes=tile_bytes) as bounds:
        if preselected is not None:
            bounds.add(preselected)
        return traverse(
            LocalShard(bounds),
            n,
            afresh=preselected is None or not len(preselected),
            gate=gate,
            minimum_distance=minimum_distance,
            device=device,
            block_rows=block_rows,
        )


def traverse(
    shard: Shard,
    n: int,
    *,
    afresh: bool,
    gate: Gate | None = None,
    minimum_distance: float = 0.0,
    device: str = "cpu",
    block_rows: int = _BLOCK_ROWS,
) -> Traversal:
    """Do what `farthest_first` does for the candidates of a shard, or of several as one (`Shards`).

    `afresh` says that the shard has no centre yet.
    """
    front = _Front(shard, block_rows, device)
    picks: list[int] = []
    squares: list[float] = []
    closed = [gate.start()] if gate else []
    ended = None
    for rows in closed:
        front.close(rows)
    while len(picks) < n and not (gate and gate.done):
        found = front.first() if afresh and not picks else front.farthest()
        if found is None:
            break
        row, square = found
        if math.sqrt(square) < minimum_distance:
            ended = "too_close"
            break
        front.pick(row)
        picks.append(row)
        squares.append(square)
        if gate:
            closed.append(gate.picked(row))
            front.close(closed[-1])
    radius = front.radius(np.concatenate(closed) if closed else np.empty(0, np.int64)) if picks else 0.0
    distances = np.sqrt(np.array(squares))
    if afresh and picks:
        distances[0] = distances[1] if len(picks) > 1 else radius
    if ended is None and gate and len(picks) < n:
        ended = gate.ended
    return Traversal(np.array(picks, np.int64), distances, radius, front.passes, ended)


class _Front:
    """The farthest open candidates of a shard, a block at a time."""

    def __init__(self, shard: Shard, block_rows: int, device: str) -> None:
        self.passes = 0
        self._shard = shard
        self._device = device
        self._block_rows = self._count = block_rows
        self._block: Block | None = None
        self._ceiling = math.inf
        self._picked: list[int] = []

    def first(self) -> tuple[int, float] | None:
        """Return the lowest open row, infinitely far from nothing."""
        row = self._shard.first()
        return None if row is None else (row, math.inf)

    def farthest(self) -> tuple[int, float] | None:
        """Return the farthest open row and its squared distance, or None when none is open."""
        while True:
            if self._block is not None:
                best = self._block.best()
                if best is None and self._ceiling == -math.inf:
                    return None
                if best is not None and best[1] * (1 - TIE) > self._ceiling:
                    return int(self._block.rows[best[0]]), best[1]
            self._renew()

    def pick(self, row: int) -> None:
        """Select what `first` or `farthest` has returned."""
        if self._block is None:
            rows = np.array([row])
            self._shard.add(self._shard.fetch(rows)[0])
            self._shard.exclude(rows)
        else:
            place = int(np.searchsorted(self._block.rows, row))
            self._picked.append(place)
            self._block.pick(place)

    def close(self, rows: Rows) -> None:
        """Leave these rows out from now on."""
        if len(rows):
            self._shard.exclude(rows)
            if self._block is not None:
                self._block.close(rows)

    def radius(self, closed: Rows) -> float:
        """Return how far the farthest candidate is, be it closed."""
        if len(closed):
            self._hand_over()
            self._shard.reopen(closed)
            self._block = None
        found = self.farthest()
        return math.sqrt(found[1]) if found else 0.0

    def _hand_over(self) -> None:
        if self._block is not None and self._picked:
            places = np.array(self._picked)
            self._shard.add(self._block.vectors[places])
            self._shard.exclude(self._block.rows[places])
            self._picked.clear()

    def _renew(self) -> None:
        """Take the next block. Where the last one gave no pick, too many are level with the best: a larger one."""
        if self._block is not None:
            self._count = self._block_rows if self._picked else self._count * 4
        self._hand_over()
        rows, _, self._ceiling = self._shard.top(self._count)
        self.passes += 1
        if self._block is None:
            vectors, squares = self._shard.fetch(rows)
        else:
            vectors, squares = self._carried_over(self._block, rows)
        self._block = Block(rows, vectors, squares, device=self._device)

    def _carried_over(self, block: Block, rows: Rows) -> tuple[Vectors, NDArray[np.float64]]:
        """Return what the last block knows of these rows, and fetch the others."""
        places = np.searchsorted(block.rows, rows)
        known = block.rows[np.minimum(places, len(block.rows) - 1)] == rows
        vectors = np.empty((len(rows), block.vectors.shape[1]), np.float32)
        squares = np.empty(len(rows))
        vectors[known], squares[known] = block.vectors[places[known]], block.squares[places[known]]
        vectors[~known], squares[~known] = self._shard.fetch(rows[~known])
        return vectors, squares
