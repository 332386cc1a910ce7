"""Candidates in several places, as one: each shard holds some rows, and only blocks and picks travel."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from worker.selection.lookahead.bounds import UpperBounds
from worker.selection.lookahead.frame import Vectors

Rows = NDArray[np.int64]
Squares = NDArray[np.float64]
Top = tuple[Rows, Squares, float]
_Result = TypeVar("_Result")


class Shard(Protocol):
    """Candidates somewhere, under the row numbers of the whole; a call carries nothing larger than a block."""

    def first(self) -> int | None:
        """Return the lowest open row, or None."""

    def top(self, count: int) -> Top:
        """Return (m,) ascending open rows with the largest bounds, `count` or all; their bounds; one for all others.

        Bounds are of squared distances to the nearest centre. With all of them there is no other: -inf.
        """

    def fetch(self, rows: Rows) -> tuple[Vectors, Squares]:
        """Return (m, d) vectors of (m,) rows and their exact squared distances to the nearest centre."""

    def add(self, vectors: Vectors) -> None:
        """Make (c, d) vectors centres."""

    def exclude(self, rows: Rows) -> None:
        """Close those of (c,) rows that are here."""

    def reopen(self, rows: Rows) -> None:
        """Open them again."""


class LocalShard:
    """Bounds in this process as a shard. Its embeddings are rows `offset` and up of the whole."""

    def __init__(self, bounds: UpperBounds, offset: int = 0) -> None:
        self._bounds = bounds
        self._offset = offset

    def first(self) -> int | None:
        """See `Shard`."""
        position = self._bounds.first()
        return None if position is None else int(self._bounds.candidates[position]) + self._offset

    def top(self, count: int) -> Top:
        """See `Shard`."""
        positions, ceiling = self._bounds.top(count)
        return self._bounds.candidates[positions] + self._offset, self._bounds.at(positions), ceiling

    def fetch(self, rows: Rows) -> tuple[Vectors, Squares]:
        """See `Shard`."""
        return self._bounds.embeddings[rows - self._offset], self._bounds.exact(self._positions(rows))

    def add(self, vectors: Vectors) -> None:
        """See `Shard`."""
        self._bounds.add_vectors(vectors)

    def exclude(self, rows: Rows) -> None:
        """See `Shard`."""
        self._bounds.exclude(self._positions(rows))

    def reopen(self, rows: Rows) -> None:
        """See `Shard`."""
        self._bounds.reopen(self._positions(rows))

    def _positions(self, rows: Rows) -> Rows:
        """Return where among the candidates those rows are that are here."""
        candidates = self._bounds.candidates
        local = rows - self._offset
        places = np.searchsorted(candidates, local)
        here = places < len(candidates)
        here[here] = candidates[places[here]] == local[here]
        return places[here]


class Shards:
    """Several shards as one. They hold ascending, separate ranges of rows: shard i has rows below `ends`[i].

    Calls go to all shards side by side. A pass moves O(count * (d + 2)) numbers, however many rows there are.
    """

    def __init__(self, shards: Sequence[Shard], ends: Sequence[int]) -> None:
        self._shards = shards
        self._ends = np.array(ends[:-1], np.int64)

    def first(self) -> int | None:
        """See `Shard`."""
        return min((row for row in self._each(lambda shard: shard.first()) if row is not None), default=None)

    def top(self, count: int) -> Top:
        """See `Shard`."""
        tops = self._each(lambda shard: shard.top(count))
        rows = np.concatenate([top[0] for top in tops])
        bounds = np.concatenate([top[1] for top in tops])
        ceiling = max(top[2] for top in tops)
        if len(rows) > count:
            order = np.argpartition(bounds, len(rows) - count - 1)
            ceiling = max(ceiling, float(bounds[order[len(rows) - count - 1]]))
            kept = np.sort(order[len(rows) - count :])
            rows, bounds = rows[kept], bounds[kept]
        return rows, bounds, ceiling

    def fetch(self, rows: Rows) -> tuple[Vectors, Squares]:
        """See `Shard`."""
        owners = np.searchsorted(self._ends, rows, side="right")
        places = [np.flatnonzero(owners == number) for number in range(len(self._shards))]
        found = self._each(lambda shard, mine: shard.fetch(rows[mine]), places)
        vectors = np.concatenate([part[0] for part in found])
        squares = np.concatenate([part[1] for part in found])
        order = np.argsort(np.concatenate(places))
        return vectors[order], squares[order]

    def add(self, vectors: Vectors) -> None:
        """See `Shard`."""
        self._each(lambda shard: shard.add(vectors))

    def exclude(self, rows: Rows) -> None:
        """See `Shard`."""
        self._each(lambda shard: shard.exclude(rows))

    def reopen(self, rows: Rows) -> None:
        """See `Shard`."""
        self._each(lambda shard: shard.reopen(rows))

    def _each(self, call: Callable[..., _Result], *arguments: Sequence[object]) -> list[_Result]:
        with ThreadPoolExecutor(len(self._shards)) as executor:
            return list(executor.map(call, self._shards, *arguments))
