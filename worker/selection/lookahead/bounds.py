"""Upper bounds of squared distances to a growing set of centres, brought up to date only where they matter.

A centre can only lower a distance, so a bound that has not seen the latest centres is still a bound. `add` therefore
only remembers centres; `top` brings up to date what could be among the largest, and leaves all other candidates as they
are. Most candidates never come near the top again: they take part in a small share of the products that a plain pass for
every centre would need. Products are float32 with a proven error (frame.py).
"""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from worker.selection.exact import squared_between
from worker.selection.lookahead.centres import Centres
from worker.selection.lookahead.frame import Frame, Vectors, as_tensor
from worker.selection.lookahead.workspace import Workspace

Rows = NDArray[np.int64]

_COLUMNS = 512
"""Centres in one product at most."""
_REACH = 2
"""How many times more candidates are looked at than asked for, at first."""


@contextmanager
def upper_bounds(
    embeddings: Vectors,
    candidates: Rows,
    *,
    device: str,
    tile_bytes: int,
    gpu_bytes: int | None = None,
) -> Iterator["UpperBounds"]:
    """Yield bounds for these (m,) ascending rows of the embeddings, with no centre yet.

    Embeddings of up to `gpu_bytes` (four fifths of what is free there, when None) are copied to a GPU; larger ones stay
    where they are, and what a product needs is sent tile by tile. On a CPU they are never copied, and may be a memmap.

    Until the end torch's kernels run on one thread each, as many side by side as torch had, and without TF32.
    A thread that another process delays then holds up one tile, not every operation.
    """
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("highest")
    workers = 1 if device.startswith("cuda") else threads
    try:
        with ThreadPoolExecutor(workers) as executor:
            workspace = Workspace(
                embeddings.shape[1],
                columns=_COLUMNS,
                device=device,
                tile_bytes=tile_bytes,
                workers=workers,
                executor=executor,
            )
            resident = _resident(embeddings, device, gpu_bytes)
            yield UpperBounds(embeddings, candidates, device=device, resident=resident, workspace=workspace)
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)


class UpperBounds:
    """What is known of every candidate's squared distance to its nearest centre.

    Memory beside the embeddings: 13 bytes a candidate (bound, norm, centres seen, open) and 8 for its row number; about
    16 more while `top` looks for a level, 40 a candidate that is brought up to date; 4 * d a centre; `tile_bytes`.
    """

    def __init__(
        self,
        embeddings: Vectors,
        candidates: Rows,
        *,
        device: str,
        resident: torch.Tensor,
        workspace: Workspace,
    ) -> None:
        self.embeddings = embeddings
        self.candidates = candidates
        self.multiplied = 0
        self._centres = Centres(embeddings.shape[1], slab_rows=_COLUMNS)
        self._device = device
        self._resident = resident
        self._frame = Frame.around(embeddings, device)
        self._workspace = workspace
        self._bounds = np.full(len(candidates), np.inf, np.float32)
        self._norms = np.empty(len(candidates), np.float32)
        self._seen = np.zeros(len(candidates), np.int32)
        self._open = np.ones(len(candidates), np.bool_)

    @property
    def scale(self) -> float:
        """What `lower_between` is scaled by, before squaring: a power of two."""
        return self._frame.scale

    def add(self, rows: Rows) -> None:
        """Make these rows of the embeddings centres."""
        self.add_vectors(self.embeddings[rows])

    def add_vectors(self, vectors: Vectors) -> None:
        """Make these (c, d) vectors centres: remembered here, multiplied once they are needed."""
        self._centres.append(vectors)

    def exclude(self, positions: Rows) -> None:
        """Leave these candidates out of `top` from now on."""
        self._open[positions] = False

    def reopen(self, positions: Rows) -> None:
        """Undo `exclude`."""
        self._open[positions] = True

    def first(self) -> int | None:
        """Return the first open candidate's position, or None."""
        if not self._open.any():
            return None
        return int(self._open.argmax())

    def top(self, count: int) -> tuple[Rows, float]:
        """Return the ascending positions of the candidates with the largest bounds, and a bound for all others."""
        high = self._freshened(count)
        values = self._bounds[high]
        if len(high) <= count:
            return high, -math.inf
        order = np.argpartition(values, len(high) - count - 1)[len(high) - count - 1 :]
        ceiling, inside = values[order[0]], np.sort(high[order[1:]])
        return inside, float(ceiling) / self.scale**2

    def at(self, positions: Rows) -> NDArray[np.float64]:
        """Return the bounds of these candidates as they are."""
        return self._bounds[positions].astype(np.float64) / self.scale**2

    def upper(self) -> NDArray[np.float64]:
        """Return (m,) upper bounds, all up to date: inf before the first centre, -inf where excluded."""
        self.refresh(np.flatnonzero(self._open))
        return np.where(self._open, self._bounds.astype(np.float64) / self.scale**2, -np.inf)

    def refresh(self, positions: Rows) -> None:
        """Let the bounds of these candidates see all centres, those that they have not seen yet."""
        seen = self._seen[positions]
        behind = np.flatnonzero(seen < self._centres.count)
        if not len(behind):
            return
        positions, seen = positions[behind], seen[behind]
        if seen.min() < seen.max():
            order = np.argsort(seen)
            positions, seen = positions[order], seen[order]
        for start, vectors in self._centres.slabs(int(seen[0])):
            columns = self._columns(vectors)
            those = slice(0, int(np.searchsorted(seen, start + len(vectors))))
            self._lower(positions[those], np.maximum(seen[those] - start, 0), columns)
        self._seen[positions] = self._centres.count

    def _lower(self, positions: Rows, skipped: NDArray[np.int32], columns: torch.Tensor) -> None:
        def lower(part: slice) -> None:
            mine, centres = positions[part], columns[:, int(skipped[part.start]) :]
            with self._tile(mine, centres.shape[1]) as (x, products):
                if self._seen[mine[0]] == 0:
                    self._norms[mine] = self._frame.upper(x).cpu().numpy()
                nearest = torch.mm(x, centres, out=products).amin(dim=1).cpu().numpy()
            self._bounds[mine] = np.minimum(self._bounds[mine], nearest + self._norms[mine])

        self.multiplied += len(positions) * columns.shape[1] - int(skipped.sum())
        self._workspace.over(len(positions), columns.shape[1], lower)

    def exact(self, positions: Rows) -> NDArray[np.float64]:
        """Return the squared distances of these candidates to their nearest centres by differences in float64.

        Only those centres are looked at whose lower bound does not exceed the candidate's upper bound.
        """
        self.refresh(positions)
        squares = np.full(len(positions), np.inf)
        for _, vectors in self._centres.slabs(0):
            lowered = self._columns(vectors)
            lowered[-1] = self._frame.lower(lowered[-1])

            def lower(part: slice, *, columns: torch.Tensor = lowered, centres: Vectors = vectors) -> None:
                mine = positions[part]
                norms = torch.from_numpy(self._norms[mine])
                limit = (torch.from_numpy(self._bounds[mine]) - self._frame.lower(norms)).to(self._device)
                with self._tile(mine, columns.shape[1]) as (x, products):
                    suspects = torch.mm(x, columns, out=products) <= limit[:, None]
                    of, to = np.divmod(np.flatnonzero(suspects.cpu().numpy()), columns.shape[1])
                found = squared_between(self.embeddings, self.candidates[mine[of]], centres, to)
                np.minimum.at(squares[part], of, found)

            self._workspace.over(len(positions), lowered.shape[1], lower)
        return squares

    def lower_between(self, positions: Rows) -> NDArray[np.float32]:
        """Return (m, m) lower bounds of the squared distances between m candidates, times `scale` squared."""
        placed = self._frame.place(self._gathered(positions))
        least = self._frame.lower(self._frame.upper(placed))
        columns = self._frame.columns(placed, least)
        products = torch.empty(len(placed), len(placed), device=self._device)

        def fill(part: slice) -> None:
            torch.mm(placed[part], columns, out=products[part]).add_(least[part, None])

        self._workspace.over(len(placed), _COLUMNS, fill)
        return products.cpu().numpy()

    def _freshened(self, count: int) -> Rows:
        """Return the ascending open candidates above some level, all up to date, `count` + 1 of them or all there are."""
        reach = float(_REACH * (count + 1))
        least = np.finfo(np.float32).min
        while True:
            values = np.where(self._open, self._bounds, np.float32(-np.inf))
            beyond = len(values) - int(reach)
            level = max(np.partition(values, beyond)[beyond], least) if beyond > 0 else least
            high = np.flatnonzero(values >= level)
            self.refresh(high)
            left = np.count_nonzero(self._bounds[high] >= level)
            if level == least or left > count:
                return high
            reach *= 2

    @contextmanager
    def _tile(self, positions: Rows, columns: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield these candidates placed in the frame, and room for `columns` products of each."""
        with self._workspace.tile(len(positions), columns) as (x, products):
            yield self._frame.place(self._gathered(positions), out=x), products

    def _gathered(self, positions: Rows) -> torch.Tensor:
        rows = torch.from_numpy(self.candidates[positions]).to(self._resident.device)
        return torch.index_select(self._resident, 0, rows).to(self._device)

    def _columns(self, vectors: Vectors) -> torch.Tensor:
        placed = self._frame.place(as_tensor(vectors).to(self._device))
        return self._frame.columns(placed, self._frame.upper(placed))


def _resident(embeddings: Vectors, device: str, gpu_bytes: int | None) -> torch.Tensor:
    """Return the embeddings on the device if they fit there, else where they are."""
    whole = as_tensor(embeddings)
    if device == "cpu":
        return whole
    if gpu_bytes is None:
        gpu_bytes = torch.cuda.mem_get_info(device)[0] * 4 // 5
    return whole.to(device) if embeddings.nbytes <= gpu_bytes else whole
