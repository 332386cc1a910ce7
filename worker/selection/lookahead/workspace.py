"""Room for products, a tile a worker, and the workers."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TypeVar

import torch

_Item = TypeVar("_Item")

_CACHE_BYTES = 3 * 2**19
"""A tile on a CPU is no larger: a core's second-level cache holds it."""


class Workspace:
    """Tiles of `rows` rows of d + 1 numbers, the last of them a one, and of as many products of up to `columns`.

    Memory: `tile_bytes` for all workers together, or 1.5 MiB for each on a CPU where that is less.
    """

    def __init__(
        self,
        dimension: int,
        *,
        columns: int,
        device: str,
        tile_bytes: int,
        workers: int,
        executor: ThreadPoolExecutor,
    ) -> None:
        self._workers = workers
        self._executor = executor
        values = tile_bytes // workers // 4
        if device == "cpu":
            values = min(values, _CACHE_BYTES // 4)
        self._rows = max(1, values // 3 // (dimension + 1))
        self._products = max(columns, values * 2 // 3)
        self._tiles: SimpleQueue[tuple[torch.Tensor, torch.Tensor]] = SimpleQueue()
        for _ in range(workers):
            rows = torch.ones(self._rows, dimension + 1, device=device)
            self._tiles.put((rows, torch.empty(self._products, device=device)))

    @contextmanager
    def tile(self, rows: int, columns: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield (rows, d + 1) and (rows, columns) of memory that is nobody else's meanwhile."""
        memory = self._tiles.get()
        try:
            yield memory[0][:rows], memory[1][: rows * columns].view(rows, columns)
        finally:
            self._tiles.put(memory)

    def over(self, rows: int, columns: int, work: Callable[[slice], None]) -> None:
        """Call work(part) for parts that cover the rows: each fits a tile, and every worker has one if possible."""
        height = min(self._rows, self._products // columns)
        step = max(1, min(height, -(-rows // self._workers)))
        self.each(work, [slice(start, min(start + step, rows)) for start in range(0, rows, step)])

    def each(self, work: Callable[[_Item], None], items: Sequence[_Item]) -> None:
        """Call work(item) for every item, on all workers."""
        for _ in self._executor.map(work, items):
            pass
