"""Upper bounds of squared distances to a growing set of centres, by float32 matrix products with a proven error.

Write a and c for a row and a centre after a shift (about the mean, any vector would do) and a scaling by a power of
two, u = 2**-24 for float32's rounding, and |.| for the norm. The product gives |a|^2 + |c|^2 - 2ac, and whatever
the order of its d + 2 additions it is off by at most 2(d + 2)u(|a|^2 + |c|^2) (Higham, Accuracy and Stability of
Numerical Algorithms, section 3.1). Rounding the shifted vectors adds 4u, the additions of the norms a few u more.
With `error` = (2d + 32)u, rounded up for the terms in u^2, all of it is below error * (|a|^2 + |c|^2). So norms
enlarged by 1 + error make the product an upper bound, and twice that taken off again makes it a lower bound.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from worker.selection.exact import squared_between

Rows = NDArray[np.int64]
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_COLUMNS = 512
"""Centres in one product at most."""
_UNDERFLOW = 2.0**-100
"""Added to norms: more than all that float32 loses below its smallest normal number."""


@contextmanager
def upper_bounds(
    embeddings: NDArray[np.float32], candidates: Rows, *, device: str, tile_bytes: int
) -> Iterator["UpperBounds"]:
    """Yield bounds for these (m,) ascending rows of the embeddings, with no centre yet.

    Until the end torch's kernels run on one thread each, as many side by side as torch had, and without TF32.
    A thread that another process delays then holds up one tile, not every operation.
    """
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("highest")
    workers = 1 if device.startswith("cuda") else threads
    try:
        with ThreadPoolExecutor(workers) as executor:
            yield UpperBounds(
                embeddings,
                candidates,
                device=device,
                tile_bytes=tile_bytes,
                executor=executor,
                workers=workers,
            )
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)


class UpperBounds:
    """What is known of every candidate's squared distance to its nearest centre.

    Memory beside the embeddings: 8 bytes a candidate (bound, norm), 16 while starting, 8 more for the row numbers,
    and `tile_bytes`. On a GPU the embeddings are copied there once.
    """

    def __init__(
        self,
        embeddings: NDArray[np.float32],
        candidates: Rows,
        *,
        device: str,
        tile_bytes: int,
        executor: Executor,
        workers: int,
    ) -> None:
        self.embeddings = embeddings
        self.candidates = candidates
        self.centres = np.empty(0, np.int64)
        self._resident = _as_tensor(embeddings).to(device)
        self._is_subset = len(candidates) < len(embeddings)
        self._rows = torch.from_numpy(candidates).to(device)
        dimension = embeddings.shape[1]
        self._error = 1.01 * (2 * dimension + 32) * 2.0**-24
        self._executor = executor
        self._workers = workers
        self._tile_values = max(tile_bytes // 4 // workers, dimension + _COLUMNS)
        self._tiles: SimpleQueue[torch.Tensor] = SimpleQueue()
        for _ in range(workers):
            self._tiles.put(torch.empty(self._tile_values, device=device))
        sample = self._resident[:: max(1, len(embeddings) // 4096)]
        self._shift = sample.double().mean(0).float().neg_()
        self.scale = 1.0
        norms = torch.empty(len(candidates), dtype=torch.float64, device=device)
        self._over_tiles(lambda tile, x, _: norms[tile].copy_(_norms(x)), columns=_COLUMNS)
        largest = float(norms.max())
        self.scale = 2.0 ** -math.ceil(math.log2(largest) / 2) if largest > 0 else 1.0
        self._shift *= self.scale
        self._norms = self._enlarged(norms * self.scale**2)
        self._bounds = torch.full((len(candidates),), torch.inf, device=device)

    def add(self, rows: Rows) -> None:
        """Make these rows of the embeddings centres: one pass over the candidates for every 512 of them."""
        for start in range(0, len(rows), _COLUMNS):
            centres, norms = self._centres(rows[start : start + _COLUMNS])

            def lower(
                tile: slice, x: torch.Tensor, products: torch.Tensor, *, by: torch.Tensor, at: torch.Tensor
            ) -> None:
                nearest = torch.addmm(at, x, by, out=products).amin(dim=1).add_(self._norms[tile])
                torch.minimum(self._bounds[tile], nearest, out=self._bounds[tile])

            self._over_tiles(partial(lower, by=centres, at=norms), columns=len(norms))
        self.centres = np.concatenate([self.centres, rows])

    def exclude(self, positions: Rows) -> None:
        """Leave these candidates out of `top` from now on."""
        self._bounds[torch.from_numpy(positions).to(self._bounds.device)] = -torch.inf

    def top(self, count: int) -> tuple[Rows, float]:
        """Return the ascending positions of the candidates with the largest bounds, and a bound for all others."""
        if count >= len(self._bounds):
            return torch.nonzero(self._bounds > -torch.inf).flatten().cpu().numpy(), -math.inf
        largest = torch.topk(self._bounds, count + 1)
        positions = largest.indices[:-1][largest.values[:-1] > -torch.inf]
        return positions.sort().values.cpu().numpy(), float(largest.values[-1]) / self.scale**2

    def exact(self, positions: Rows) -> NDArray[np.float64]:
        """Return the squared distances of these candidates to their nearest centres by differences in float64.

        Only those centres are looked at whose lower bound does not exceed the candidate's upper bound.
        """
        squares = np.full(len(positions), np.inf)
        step = max(1, min(self._tile_values // _COLUMNS, -(-len(positions) // self._workers)))
        parts = [slice(start, start + step) for start in range(0, len(positions), step)]
        self._all(lambda part: self._lower_to_exact(squares[part], positions[part]), parts)
        return squares

    def lower_between(self, positions: Rows) -> NDArray[np.float32]:
        """Return (m, m) lower bounds of the squared distances between m candidates, times `scale` squared."""
        centres, norms = self._centres(self.candidates[positions])
        least = self._lowered(norms)
        points = centres.T.mul(-0.5)
        products = torch.empty(len(points), len(points), device=points.device)
        step = -(-len(points) // self._workers)

        def fill(start: int) -> None:
            part = slice(start, start + step)
            torch.addmm(least, points[part], centres, out=products[part]).add_(least[part, None])

        self._all(fill, range(0, len(points), step))
        return products.cpu().numpy()

    def _lower_to_exact(self, squares: NDArray[np.float64], positions: Rows) -> None:
        at = torch.from_numpy(positions).to(self._bounds.device)
        rows = self.candidates[positions]
        x = torch.add(self._shift, self._resident[self._rows[at]], alpha=self.scale)
        limit = (self._bounds[at] - self._lowered(self._norms[at]))[:, None]
        for start in range(0, len(self.centres), _COLUMNS):
            chunk = self.centres[start : start + _COLUMNS]
            centres, norms = self._centres(chunk)
            suspects = torch.addmm(self._lowered(norms), x, centres) <= limit
            of, to = torch.nonzero(suspects).cpu().numpy().T
            found = squared_between(self.embeddings, rows[of], self.embeddings, chunk[to])
            np.minimum.at(squares, of, found)

    def _over_tiles(
        self, work: Callable[[slice, torch.Tensor, torch.Tensor], _Result], *, columns: int
    ) -> list[_Result]:
        """Call work(places, their shifted and scaled rows, room for `columns` products a row) for every tile."""
        dimension = self._resident.shape[1]
        step = self._tile_values // (dimension + columns)

        def do(start: int) -> _Result:
            tile = slice(start, min(start + step, len(self._rows)))
            height = tile.stop - tile.start
            rows = self._resident[self._rows[tile]] if self._is_subset else self._resident[tile]
            memory = self._tiles.get()
            try:
                x = memory[: height * dimension].view(height, dimension)
                products = memory[height * dimension :][: height * columns].view(height, columns)
                return work(tile, torch.add(self._shift, rows, alpha=self.scale, out=x), products)
            finally:
                self._tiles.put(memory)

        return self._all(do, range(0, len(self._rows), step))

    def _all(self, work: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
        return list(self._executor.map(work, items))

    def _centres(self, rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (d, m) centres times -2, and their (m,) enlarged norms."""
        at = torch.from_numpy(rows).to(self._resident.device)
        centres = torch.add(self._shift, self._resident[at], alpha=self.scale)
        return centres.mul(-2).T, self._enlarged(_norms(centres))

    def _enlarged(self, norms: torch.Tensor) -> torch.Tensor:
        return (norms * (1 + self._error) + _UNDERFLOW).float()

    def _lowered(self, enlarged: torch.Tensor) -> torch.Tensor:
        return enlarged * (1 - 2 * self._error) - 4 * _UNDERFLOW


def _norms(x: torch.Tensor) -> torch.Tensor:
    return x.double().square_().sum(dim=1)


def _as_tensor(array: NDArray[np.float32]) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable.*")  # only read here
        return torch.from_numpy(array)
