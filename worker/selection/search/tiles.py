"""Exact nearest neighbours by float32 products that reject all but a few pairs.

For a cell of queries (`cells.py`), tile after tile of base vectors is multiplied, and of every 8 products only the
smallest is kept. The k-th smallest of these minima bounds the k-th nearest distance from above, since k groups then
hold a vector at least as near. Only groups whose minimum is within that bound are looked at again, and only pairs
within it are measured, by differences in float64. Rounding is covered by the proof in `cells.py`, so it decides how
many pairs are measured, and never which are kept. Whole cells that are out of reach are not multiplied at all.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from worker.selection.exact import squared_between
from worker.selection.search.cells import SLACK, UNDERFLOW, Cells, Frame, frame_of

Vectors = NDArray[np.float32]
Squares = NDArray[np.float64]
Rows = NDArray[np.int64]

_CELL_ROWS = 512
_TILE_ROWS = 2048
_NEAR_ROWS = 4096
"""Base vectors around a cell that give its queries their first bound."""
_GROUP = 8
"""Products of which only the smallest is kept: more save memory, fewer save measuring."""
_PAIRS_AT_ONCE = 2**18


def nearest_squares(
    queries: Vectors, base: Vectors, k: int, *, device: str, threads: int, memory_bytes: int
) -> tuple[Squares, Rows]:
    """Return (q, k) squared distances and rows of the k base vectors nearest to each of (q, d) queries.

    Nearest first, equal ones by row; k is at most b. Many equal base vectors cost time, not correctness.

    Memory: 4 (d + 2) + 32 bytes a query and a base vector, the result, and about `memory_bytes`, of which a query takes
    b bytes and the cells of queries are made as small as that asks for. Where float32 cannot tell vectors
    apart, up to 64 b bytes a thread in addition.
    """
    frame = frame_of(queries, base)
    own_bytes = memory_bytes // threads
    right = Cells(base, frame, rows_per_cell=_CELL_ROWS, device=device)
    together = min(_CELL_ROWS, max(1, own_bytes // (len(base) + 4 * _TILE_ROWS)))
    left = right if queries is base and together == _CELL_ROWS else None
    left = left or Cells(queries, frame, rows_per_cell=together, device=device)
    search = _Search(queries=queries, left=left, base=base, right=right, frame=frame, k=k)
    squares = np.empty((len(queries), k))
    rows = np.empty((len(queries), k), np.int64)

    def fill(cell: int) -> None:
        own = left.order[left.taken(cell)]
        squares[own], rows[own] = search.nearest(cell)

    with _single_threaded_torch(), ThreadPoolExecutor(threads) as executor:
        list(executor.map(fill, range(len(left))))
    return squares, rows


class _Search:
    """The search for the k nearest of a base. Threads may share it."""

    def __init__(
        self, *, queries: Vectors, left: Cells, base: Vectors, right: Cells, frame: Frame, k: int
    ) -> None:
        self._queries, self._left = queries, left
        self._base, self._right = base, right
        self._frame, self._k = frame, k
        self._group = _GROUP
        while self._group > 1 and len(base) < 4 * k * self._group:
            self._group //= 2
        self._memory = threading.local()

    def nearest(self, cell: int) -> tuple[Squares, Rows]:
        """Return (m, k) squared distances and base rows for the m queries of a cell."""
        right = self._right
        apart = np.square(right.centres - self._left.centres[cell]).sum(axis=1)
        order = np.argsort(apart, kind="stable")
        wanted = max(_NEAR_ROWS, 4 * self._group * self._k)
        count = 1 + int(np.searchsorted(np.cumsum((right.stops - right.starts)[order]), wanted))
        near = np.sort(order[:count])
        groups, minima = self._minima(cell, near)
        limits = self._limits(cell, near, minima)
        within = self._within_reach(cell, limits)
        within[near] = False
        others = np.flatnonzero(within)
        if len(others):
            more_groups, more_minima = self._minima(cell, others)
            groups, minima = np.concatenate([groups, more_groups]), torch.cat([minima, more_minima])
            limits = np.minimum(limits, self._limits(cell, np.concatenate([near, others]), minima))
        hits = (minima <= torch.from_numpy(limits).to(minima.device)).T.contiguous().cpu().numpy()
        return self._measured(cell, groups, hits, limits)

    def _minima(self, cell: int, others: Rows) -> tuple[Rows, torch.Tensor]:
        """Return the (g, group) places of vectors in these ascending cells, and the (g, m) smallest products of groups."""
        right, queries = self._right, self._left.as_queries(cell)
        sizes = right.stops[others] - right.starts[others]
        ends = np.cumsum(sizes)
        places = np.repeat(right.starts[others] - (ends - sizes), sizes) + np.arange(ends[-1])
        groups = []
        minima = torch.empty(len(places) // self._group, queries.shape[1], device=queries.device)
        room = self._room(queries.shape[1])
        for start in range(0, len(places), _TILE_ROWS):
            part = places[start : start + _TILE_ROWS]
            products = torch.mm(self._factors(part), queries, out=room[: len(part)])
            # Neighbours lie side by side, so a group takes vectors that lie far apart.
            to = slice(start // self._group, (start + len(part)) // self._group)
            torch.amin(products.view(self._group, -1, queries.shape[1]), dim=0, out=minima[to])
            groups.append(part.reshape(self._group, -1).T)
        return np.concatenate(groups), minima

    def _factors(self, places: Rows) -> torch.Tensor:
        """Return the factors in these ascending places."""
        if places[-1] - places[0] == len(places) - 1:
            return self._right.factors[places[0] : places[-1] + 1]
        return self._right.factors[torch.from_numpy(places).to(self._right.factors.device)]

    def _room(self, columns: int) -> torch.Tensor:
        """Return room for a tile of products, this thread's own."""
        if not hasattr(self._memory, "tile"):
            self._memory.tile = torch.empty(_TILE_ROWS * _CELL_ROWS, device=self._right.factors.device)
        tile: torch.Tensor = self._memory.tile
        return tile[: _TILE_ROWS * columns].view(_TILE_ROWS, columns)

    def _limits(self, cell: int, others: Rows, minima: torch.Tensor) -> NDArray[np.float32]:
        """Return (m,) upper bounds of the scaled squared distances to the k-th nearest."""
        queries = minima.shape[1]
        while len(minima) >= 16 * self._k:
            half = len(minima) // 2
            minima = torch.minimum(minima[:half], minima[half : 2 * half])
        if len(minima) < self._k:
            return np.full(queries, np.inf, np.float32)
        rows = minima.T.contiguous().cpu().numpy()
        kth = np.partition(rows, self._k - 1, axis=1)[:, self._k - 1].astype(np.float64)
        norms = self._left.norms[self._left.taken(cell)] + self._right.largest_norms[others].max()
        limits = kth + 2 * self._frame.error * norms + 4 * UNDERFLOW
        return np.nextafter(limits.astype(np.float32), np.float32(np.inf))

    def _within_reach(self, cell: int, limits: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Tell (c,) which cells of the base may hold a vector within the limit of some query of this cell."""
        right = self._right
        distances = self._left.distances_to(right.centres, cell)
        distances -= np.sqrt(np.maximum(limits, 0, dtype=np.float64))[:, None]
        return distances.min(axis=0) <= right.radii + SLACK

    def _measured(
        self, cell: int, groups: Rows, hits: NDArray[np.bool_], limits: NDArray[np.float32]
    ) -> tuple[Squares, Rows]:
        """Return the nearest among the vectors of the (m, g) groups hit, some queries at a time."""
        squares = np.empty((len(hits), self._k))
        rows = np.empty((len(hits), self._k), np.int64)
        pairs = np.cumsum(np.count_nonzero(hits, axis=1)) * self._group
        start = 0
        while start < len(hits):
            before = pairs[start - 1] if start else 0
            stop = max(start + 1, int(np.searchsorted(pairs, before + _PAIRS_AT_ONCE, side="right")))
            query, group = np.nonzero(hits[start:stop])
            part = slice(start, stop)
            squares[part], rows[part] = self._best(cell, query + start, groups[group], limits)
            start = stop
        return squares, rows

    def _best(
        self, cell: int, query: Rows, places: Rows, limits: NDArray[np.float32]
    ) -> tuple[Squares, Rows]:
        """Return the (n, k) nearest of n successive queries, which may be among these (e, group) places."""
        device = self._right.factors.device
        columns = self._left.as_queries(cell).T[torch.from_numpy(query).to(device)]
        factors = self._right.factors[torch.from_numpy(places).to(device)]
        products = torch.bmm(factors, columns[:, :, None])[:, :, 0].cpu().numpy()
        at, member = np.nonzero(products <= limits[query, None])
        query, place = query[at], places[at, member]
        rows = self._right.order[place]
        own = self._left.order[self._left.starts[cell] + query]
        squares = squared_between(self._queries, own, self._base, rows)
        order = np.lexsort((rows, squares, query))
        first = np.flatnonzero(np.diff(query[order], prepend=-1))
        best = order[first[:, None] + np.arange(self._k)]
        return squares[best], rows[best]


@contextmanager
def _single_threaded_torch() -> Iterator[None]:
    """Let torch run on one thread a call, and in full precision, until the end."""
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
