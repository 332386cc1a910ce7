"""Exact nearest neighbours by float32 products that reject all but a few pairs.

For a cell of queries (`cells.py`), tile after tile of base vectors is multiplied, and of every 8 products only the
smallest is looked at. These minima are folded into some groups a query; the k-th smallest of the groups bounds the k-th
nearest distance from above, since k groups then hold a vector at least as near. A first pass over the cells around
gives the first bound. Cells out of its reach are not multiplied at all; the rest are, pairs within the bound are kept,
and the bound falls as more is seen. What is left is measured by differences in float64. Rounding is covered by the
proof in `cells.py`, so it decides how many pairs are measured, and never which are kept.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from worker.selection.exact import squared_between
from worker.selection.search.cells import SLACK, UNDERFLOW, Cells, Frame, frame_of

Vectors = NDArray[np.float32]
Limits = NDArray[np.float32]
Squares = NDArray[np.float64]
Rows = NDArray[np.int64]

_CELL_ROWS = 512
_TILE_ROWS = 1024
_NEAR_ROWS = 4096
"""Base vectors around a cell that give its queries their first bound."""
_GROUP = 8
"""Products of which only the smallest is compared with the bound."""
_FOLDED = 8
"""Groups folded into, for each neighbour wanted: fewer make the bound loose."""
_PAIRS_AT_ONCE = 2**18


def nearest_squares(
    queries: Vectors, base: Vectors, k: int, *, device: str, threads: int, memory_bytes: int
) -> tuple[Squares, Rows]:
    """Return (q, k) squared distances and rows of the k base vectors nearest to each of (q, d) queries.

    Nearest first, equal ones by row; k is at most b. Many equal base vectors cost time, not correctness.

    Memory: 4 (d + 2) + 32 bytes a query and a base vector, the result, and about `memory_bytes`, of which a query takes
    b / 8 + 64 k + 8 KiB, and the cells of queries are made as small as that asks for. Where float32 cannot tell
    vectors apart, up to 32 MiB a thread in addition.
    """
    frame = frame_of(queries, base)
    own_bytes = memory_bytes // threads
    right = Cells(base, frame, rows_per_cell=_CELL_ROWS, device=device)
    together = min(_CELL_ROWS, max(1, own_bytes // (len(base) // 8 + 64 * k + 8 * _TILE_ROWS)))
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

    def nearest(self, cell: int) -> tuple[Squares, Rows]:
        """Return (m, k) squared distances and base rows for the m queries of a cell."""
        near = self._around(cell)
        tiles = self._tiles(near)
        queries = self._left.as_queries(cell)
        room = torch.empty(_TILE_ROWS, queries.shape[1], device=queries.device)
        folded = self._nothing_folded(queries)
        for number, tile in enumerate(tiles):
            _fold(self._products(tile, queries, room).amin(dim=0), folded, number)
        limits = self._limits(cell, folded, near)
        within = self._within_reach(cell, limits)
        within[near] = False
        others = np.flatnonzero(within)
        tiles += self._tiles(others)
        used = np.concatenate([near, others])
        folded = self._nothing_folded(queries)
        best = _Best(self._queries, self._left.order[self._left.taken(cell)], self._base, self._k)
        tighten_at = 2 * len(self._tiles(near))
        for number, tile in enumerate(tiles):
            products = self._products(tile, queries, room)
            minima = products.amin(dim=0)
            for query, place, value in _within(products, minima, tile, limits):
                best.add(query, self._right.order[place], value, limits)
            _fold(minima, folded, number)
            if number + 1 == tighten_at:
                limits = np.minimum(limits, self._limits(cell, folded, used))
                tighten_at *= 2
        if len(others):
            limits = np.minimum(limits, self._limits(cell, folded, used))
        return best.settled(limits)

    def _around(self, cell: int) -> Rows:
        """Return the ascending cells of the base around a cell of queries that give the first bound."""
        right = self._right
        order = np.argsort(np.square(right.centres - self._left.centres[cell]).sum(axis=1), kind="stable")
        wanted = max(_NEAR_ROWS, 4 * self._group * self._k)
        count = 1 + int(np.searchsorted(np.cumsum((right.stops - right.starts)[order]), wanted))
        return np.sort(order[:count])

    def _tiles(self, cells: Rows) -> list[Rows]:
        """Return the places of these ascending cells, some at a time."""
        right = self._right
        sizes = right.stops[cells] - right.starts[cells]
        ends = np.cumsum(sizes)
        places = np.repeat(right.starts[cells] - (ends - sizes), sizes) + np.arange(sizes.sum())
        return [places[start : start + _TILE_ROWS] for start in range(0, len(places), _TILE_ROWS)]

    def _products(self, places: Rows, queries: torch.Tensor, room: torch.Tensor) -> torch.Tensor:
        """Return (group, g, m) products. Neighbours lie side by side, so a group takes vectors that lie far apart."""
        factors = self._right.factors
        if places[-1] - places[0] == len(places) - 1:
            factors = factors[places[0] : places[-1] + 1]
        else:
            factors = factors.index_select(0, torch.from_numpy(places).to(factors.device))
        return torch.mm(factors, queries, out=room[: len(places)]).view(self._group, -1, queries.shape[1])

    def _nothing_folded(self, queries: torch.Tensor) -> torch.Tensor:
        """Return (f, g, m) room to fold the minima of tiles into."""
        groups = _TILE_ROWS // self._group
        most = -(-len(self._right.order) // _TILE_ROWS)
        shape = min(most, -(-_FOLDED * self._k // groups)), groups, queries.shape[1]
        return torch.full(shape, torch.inf, device=queries.device)

    def _limits(self, cell: int, folded: torch.Tensor, seen: Rows) -> Limits:
        """Return (m,) upper bounds of the scaled squared distances to the k-th nearest in the cells seen."""
        minima = folded.view(-1, folded.shape[2])
        if len(minima) < self._k:
            return np.full(minima.shape[1], np.inf, np.float32)
        rows = minima.T.contiguous().cpu().numpy()
        kth = np.partition(rows, self._k - 1, axis=1)[:, self._k - 1].astype(np.float64)
        norms = self._left.norms[self._left.taken(cell)] + self._right.largest_norms[seen].max()
        limits = kth + 2 * self._frame.error * norms + 4 * UNDERFLOW
        return np.nextafter(limits.astype(np.float32), np.float32(np.inf))

    def _within_reach(self, cell: int, limits: Limits) -> NDArray[np.bool_]:
        """Tell (c,) which cells of the base may hold a vector within the limit of some query of this cell."""
        right = self._right
        distances = self._left.distances_to(right.centres, cell)
        distances -= np.sqrt(np.maximum(limits, 0, dtype=np.float64))[:, None]
        return distances.min(axis=0) <= right.radii + SLACK


def _fold(minima: torch.Tensor, folded: torch.Tensor, number: int) -> None:
    """Fold a tile's (g, m) minima into the groups that are its turn. No tile may be folded twice."""
    into = folded[number % len(folded), : len(minima)]
    torch.minimum(into, minima, out=into)


def _within(
    products: torch.Tensor, minima: torch.Tensor, places: Rows, limits: Limits
) -> Iterator[tuple[Rows, Rows, Limits]]:
    """Yield the queries, places and values of products within the limits, some at a time."""
    size, groups, queries = products.shape
    flat = products.view(size, -1)
    hits = np.flatnonzero(minima.cpu().numpy() <= limits)
    for start in range(0, len(hits), _PAIRS_AT_ONCE // _GROUP):
        chosen = hits[start : start + _PAIRS_AT_ONCE // _GROUP]
        group, query = np.divmod(chosen, queries)
        values = flat.index_select(1, torch.from_numpy(chosen).to(flat.device)).cpu().numpy()
        member, hit = np.nonzero(values <= limits[query])
        yield query[hit], places[member * groups + group[hit]], values[member, hit]


class _Best:
    """The k nearest base vectors found so far for (m,) query rows, and pairs not measured yet."""

    def __init__(self, queries: Vectors, own: Rows, base: Vectors, k: int) -> None:
        self._queries, self._own, self._base = queries, own, base
        self._squares = np.full((len(own), k), np.inf)
        self._rows = np.full((len(own), k), -1)
        self._waiting: list[tuple[Rows, Rows, Limits]] = []
        self._count = 0

    def add(self, query: Rows, rows: Rows, values: Limits, limits: Limits) -> None:
        """Take base rows for queries, given the products; a row of -1 is none."""
        self._waiting.append((query, rows, values))
        self._count += len(query)
        if self._count > _PAIRS_AT_ONCE:
            self.settled(limits)

    def settled(self, limits: Limits) -> tuple[Squares, Rows]:
        """Measure the waiting pairs that are within the limits, and return (m, k) squared distances and rows."""
        if self._waiting:
            query, rows, values = (np.concatenate(part) for part in zip(*self._waiting, strict=True))
            kept = np.flatnonzero((values <= limits[query]) & (rows >= 0))
            query, rows = query[kept], rows[kept]
            squares = squared_between(self._queries, self._own[query], self._base, rows)
            m, k = self._rows.shape
            query = np.concatenate([np.repeat(np.arange(m), k), query])
            rows = np.concatenate([self._rows.ravel(), rows])
            squares = np.concatenate([self._squares.ravel(), squares])
            order = np.lexsort((rows, squares, query))
            first = np.flatnonzero(np.diff(query[order], prepend=-1))
            best = order[first[:, None] + np.arange(k)]
            self._squares, self._rows = squares[best], rows[best]
        self._waiting, self._count = [], 0
        return self._squares, self._rows


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
