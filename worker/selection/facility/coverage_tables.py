"""Similarities of points to candidates, all or those of the nearest, and what each candidate adds to the maxima.

Sums do not depend on device, threads or order, nor does the matrix product of distances: points are rounded to whole
multiples of 2**-20 to 2**-23 of the largest coordinate, few enough bits for every square and sum to be exact in
float64, and similarities to whole multiples of 2**-24, so that float32 holds their differences exactly.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from worker.device import Device
from worker.selection.neighbours import nearest, nearest_others

Vectors = NDArray[np.float32]
Values = NDArray[np.float64]
Rows = NDArray[np.int64]
Every = Callable[[Callable[[slice], None], Iterable[slice]], None]

_UNITS = 2.0**24
"""A similarity of 1."""
_TILE = 512
_CPU_VALUES = 2**18
_GPU_VALUES = 2**25


@dataclass(frozen=True, slots=True)
class Points:
    """What facility location is about.

    `vectors` (p, d) finite and `owners` (p,): the ascending positions, below `m`, of the candidates that own them, one
    each or several or none. `selected` (s, d): vectors of what is selected before the first pick. `weights` (p,) finite
    and not negative.
    """

    vectors: Vectors
    owners: Rows
    m: int
    selected: Vectors
    weights: Values


@contextmanager
def side_by_side(device: Device) -> Iterator[Every]:
    """Yield a way to run work on slices in as many threads as the CPU has, with one thread each inside torch.

    A GPU is driven by one thread.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(1 if device.is_cuda else device.threads) as executor:

            def every(work: Callable[[slice], None], slices: Iterable[slice]) -> None:
                for _ in executor.map(work, slices):
                    pass

            yield every
    finally:
        torch.set_num_threads(threads)


class Dense:
    """Every similarity: (m, p) float32, in units of 2**-24."""

    def __init__(self, points: Points, *, device: Device, every: Every) -> None:
        where = device.torch_name
        self._every = every
        self._chunk_values = _GPU_VALUES if device.is_cuda else _CPU_VALUES
        near, to_units, cover = _prepared(points, device)
        self._given = torch.from_numpy(cover).to(where)
        self._cover = self._given
        self._weights = torch.from_numpy(points.weights).to(where)
        self._similarities = torch.zeros(points.m, len(near), device=where)
        wide = torch.from_numpy(near).to(where, torch.float64)
        self._fill(wide, (wide * wide).sum(dim=1), torch.from_numpy(points.owners).to(where), to_units)

    def gains(self, positions: Rows) -> Values:
        """Hold at most 12 bytes a value of `_chunk_values`, in each thread."""
        gains = torch.empty(len(positions), dtype=torch.float64, device=self._cover.device)
        at = torch.from_numpy(positions).to(self._cover.device)

        def work(part: slice) -> None:
            more = self._similarities.index_select(0, at[part]).sub_(self._cover).clamp_(min=0)
            torch.mv(more.double(), self._weights, out=gains[part])

        self._every(work, _slices(len(positions), max(1, self._chunk_values // max(1, len(self._cover)))))
        return gains.cpu().numpy()

    def add(self, position: int) -> None:
        """One look at every point."""
        self._cover = torch.maximum(self._cover, self._similarities[position])

    def restart(self) -> None:
        """Take the first cover again."""
        self._cover = self._given

    def _fill(self, points: torch.Tensor, norms: torch.Tensor, owners: torch.Tensor, to_units: float) -> None:
        is_one_each = len(points) == len(self._similarities) and bool((owners[1:] > owners[:-1]).all())
        table = self._similarities

        def work(columns: slice) -> None:
            for rows in _slices(columns.stop if is_one_each else len(points), _TILE):
                tile = torch.addmm(norms[columns], points[rows], points[columns].T, alpha=-2)
                tile = tile.add_(norms[rows, None]).sqrt_().mul_(-to_units).add_(_UNITS).round_().float()
                if is_one_each:
                    table[rows, columns] = tile
                    table[columns, rows] = tile.T
                else:
                    own = owners[rows, None].expand(tile.shape)
                    table[:, columns].scatter_reduce_(0, own, tile, "amax")

        self._every(work, _slices(len(points), _TILE))


class Sparse:
    """The similarities of each point to its nearest points and itself, listed by candidate: 8 bytes each."""

    def __init__(self, points: Points, *, device: Device, neighbours: int) -> None:
        vectors, to_units, self._given = _prepared(points, device)
        self._cover = self._given.copy()
        self._weights = points.weights
        count = len(vectors)
        distances, near = nearest_others(vectors, neighbours, device=device)
        similar = np.column_stack([np.full(count, _UNITS, np.float32), _units(distances, to_units)])
        everyone = np.arange(count)[:, None]
        keys = points.owners[np.hstack([everyone, near])] * count + everyone
        # Of several points that one candidate owns, the nearest comes first, and the first of equal keys is kept.
        kept, first = np.unique(keys, return_index=True)
        self._similar = similar.ravel()[first]
        self._points = (kept % count).astype(np.int32)
        self._ends = np.searchsorted(kept, np.arange(points.m + 1) * count)

    def gains(self, positions: Rows) -> Values:
        """Hold at most 40 bytes a value of `_CPU_VALUES`, or of one candidate's list."""
        gains = np.empty(len(positions))
        sizes = self._ends[positions + 1] - self._ends[positions]
        step = max(1, _CPU_VALUES // max(1, int(sizes.max(initial=0))))
        for part in _slices(len(positions), step):
            starts, lengths = self._ends[positions[part]], sizes[part]
            stops = np.cumsum(lengths)
            entries = np.arange(stops[-1]) + np.repeat(starts - stops + lengths, lengths)
            points = self._points[entries]
            more = np.maximum(self._similar[entries] - self._cover[points], 0) * self._weights[points]
            gains[part] = np.bincount(np.repeat(np.arange(len(lengths)), lengths), more, len(lengths))
        return gains

    def add(self, position: int) -> None:
        """One look at the points that have this candidate among their nearest."""
        entries = slice(self._ends[position], self._ends[position + 1])
        points = self._points[entries]
        self._cover[points] = np.maximum(self._cover[points], self._similar[entries])

    def restart(self) -> None:
        """Take the first cover again."""
        self._cover = self._given.copy()


def _prepared(points: Points, device: Device) -> tuple[Vectors, float, Vectors]:
    """Return the rounded vectors, units of similarity for a distance of 1, and (p,) units of what is covered."""
    near, given = _rounded(points.vectors, points.selected)
    diameter = 2 * math.sqrt(max(_largest_square(near), _largest_square(given)))
    to_units = _UNITS / (diameter or 1.0)
    if not len(near) or not len(given):
        return near, to_units, np.zeros(len(near), np.float32)
    return near, to_units, _units(nearest(near, given, 1, device=device)[0][:, 0], to_units)


def _rounded(points: Vectors, selected: Vectors) -> tuple[Vectors, Vectors]:
    """Return both about the points' mean, as whole numbers of so few bits that d squares add up to at most 2**51."""
    dimension = points.shape[1]
    bits = min(23, (51 - math.ceil(math.log2(dimension))) // 2)
    mean = points.mean(axis=0, dtype=np.float64) if len(points) else np.zeros(dimension)
    centred = [part - mean for part in (points, selected)]
    reach = max(float(np.abs(part).max(initial=0)) for part in centred)
    factor = 2.0 ** (bits - math.ceil(math.log2(reach))) if reach > 0 else 1.0
    for part in centred:
        np.rint(np.multiply(part, factor, out=part), out=part)
    near, given = (part.astype(np.float32) for part in centred)
    return near, given


def _largest_square(vectors: Vectors) -> float:
    return float(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64).max(initial=0))


def _units(distances: Values, to_units: float) -> Vectors:
    return np.rint(_UNITS - distances * to_units).astype(np.float32)


def _slices(count: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, count)) for start in range(0, count, step))
