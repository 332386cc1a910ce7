"""A table of distances from rows to candidates: what the searches for bounds read."""

import numpy as np
from numpy.typing import NDArray

from worker.selection.covering.products import Embeddings, Rows, squared_products

_ADDED_ROWS = 64


class Table:
    """Distances from `rows` (s,) to `columns` (c,), both candidates.

    `room` is how many rows it can grow to. Memory: 4 bytes an entry, room included, and `block_bytes`.
    """

    def __init__(
        self,
        embeddings: Embeddings,
        candidates: Rows,
        *,
        rows: Rows,
        columns: Rows,
        room: int,
        device: str,
        block_bytes: int,
    ) -> None:
        self.rows, self.columns = rows, columns
        self._embeddings, self._candidates = embeddings, candidates
        self._device, self._block_bytes = device, block_bytes
        self._room = np.empty((room, len(columns)), np.float32)
        self._fill(0)

    @property
    def distances(self) -> NDArray[np.float32]:
        """(s, c) float32, not a copy."""
        return self._room[: len(self.rows)]

    def add(self, rows: Rows) -> bool:
        """Take in more rows, unless there is no room for them."""
        filled = len(self.rows)
        if filled + len(rows) > len(self._room):
            return False
        self.rows = np.concatenate([self.rows, rows])
        self._fill(filled)
        return True

    def forgotten(self, columns: Rows, radius: float) -> tuple[float, Rows]:
        """Return how far the farthest candidate is from these (k,) columns, and rows beyond the radius.

        Of every column's cell the farthest, 64 of them at most. A row of the table that the table sees within the
        radius is none of them.
        """
        nearest = np.empty(len(self._candidates))
        owners = np.empty(len(self._candidates), np.int64)
        for part, squares in squared_products(
            self._embeddings,
            self._candidates,
            self.columns[columns],
            device=self._device,
            memory_bytes=self._block_bytes,
        ):
            owners[part] = squares.argmin(axis=1)
            nearest[part] = squares.min(axis=1)
        distances = np.sqrt(nearest)
        beyond = np.flatnonzero(distances.astype(np.float32) > np.float32(radius))
        beyond = beyond[np.argsort(-distances[beyond], kind="stable")]
        _, farthest = np.unique(owners[beyond], return_index=True)
        return float(distances.max()), self._candidates[beyond[np.sort(farthest)[:_ADDED_ROWS]]]

    def _fill(self, first: int) -> None:
        part = slice(first, len(self.rows))
        for columns, squares in squared_products(
            self._embeddings,
            self.columns,
            self.rows[part],
            device=self._device,
            memory_bytes=self._block_bytes,
        ):
            self._room[part, columns] = np.sqrt(squares, out=squares).T
