"""Vectors in cells of near ones, and cheap bounds of distances between them.

Write a and c for two vectors after a shift (any would do; the median is little moved by outliers) and a scaling by a
power of two that makes the largest squared norm at most 1; u = 2**-24. The float32 product of (a, |a|^2, 1) and
(-2c, 1, |c|^2) is |a - c|^2 but for rounding: d + 2 products and additions in any order are off by at most
2(d + 2)u(|a|^2 + |c|^2) (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1); rounding the shifted
vectors adds 4u, the norms a few u more. With `error` = (2d + 32)u, rounded up for the terms in u^2, all of it is
below error * (|a|^2 + |c|^2). So norms made smaller by 1 - error make the product a lower bound, and twice that added
again an upper one.

A cell's vectors are within its radius of its centre, so a vector that is r beyond the radius from the centre is at
least r from all of them. These distances are computed in float64; `SLACK` covers their rounding and that of the
shifted vectors, which is at most u each since no norm exceeds 1.
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]

FILL = 16
"""Cells are filled up to a multiple of this many vectors."""
SLACK = 2.0**-18
UNDERFLOW = 2.0**-100
"""More than all that float32 loses below its smallest normal number."""
_FAR = 1e30
_LARGEST_EXPONENT = 100
_CHUNK_ROWS = 4096
_SAMPLE_PER_CELL = 16
_STEPS = 5


@dataclass(frozen=True, slots=True)
class Frame:
    """The shift and the scale that vectors are compared in."""

    shift: Vectors
    scale: float

    @property
    def error(self) -> float:
        """Half the width of the bounds, relative to the sum of the squared norms."""
        return 1.01 * (2 * len(self.shift) + 32) * 2.0**-24


def frame_of(*sets: Vectors) -> Frame:
    """Return a frame in which no vector of these (n, d) sets is longer than 1."""
    shift = np.median(sets[-1][:: max(1, len(sets[-1]) // _CHUNK_ROWS)], axis=0).astype(np.float32)
    largest = max((_largest_square(vectors, shift) for vectors in sets if len(vectors)), default=0.0)
    exponent = -math.ceil(math.log2(largest) / 2 + 0.01) if largest > 0 else 0
    return Frame(shift, 2.0 ** min(exponent, _LARGEST_EXPONENT))


class Cells:
    """(n, d) vectors, sorted into cells of at most `rows_per_cell`, each of them filled up to a multiple of 16.

    `order` (p,) says which vector is in which place, -1 in those that only fill up. `starts` and `stops` bound the places
    of a cell, `ends` those with a vector. `factors` (p, d + 2) are (a, |a|^2, 1) with lowered norms.

    Memory: 4 (d + 2) + 16 bytes a place, another 4 d a vector while they are made.
    """

    def __init__(self, vectors: Vectors, frame: Frame, *, rows_per_cell: int, device: str) -> None:
        d = vectors.shape[1]
        parts = _split((vectors - frame.shift) * np.float32(frame.scale), rows_per_cell)
        sizes = np.array([len(part) for part in parts])
        self.stops = np.cumsum(-(-sizes // FILL) * FILL)
        self.starts = np.concatenate([[0], self.stops[:-1]])
        self.ends = self.starts + sizes
        self.order = np.full(self.stops[-1], -1)
        factors = np.zeros((len(self.order), d + 2), np.float32)
        factors[:, d] = _FAR
        factors[:, d + 1] = 1
        self.norms = np.zeros(len(self.order))
        self.centres = np.empty((len(parts), d))
        self.radii = np.empty(len(parts))
        self.largest_norms = np.empty(len(parts))
        for cell, part in enumerate(parts):
            places = slice(self.starts[cell], self.ends[cell])
            shifted = (vectors[part] - frame.shift) * np.float32(frame.scale)
            self.order[places] = part
            self.norms[places] = np.einsum("ij,ij->i", shifted, shifted, dtype=np.float64)
            factors[places, :d] = shifted
            factors[places, d] = self.norms[places] * (1 - frame.error) - UNDERFLOW
            self.centres[cell] = shifted.mean(axis=0, dtype=np.float64)
            self.largest_norms[cell] = self.norms[places].max()
            self.radii[cell] = math.sqrt(np.square(shifted - self.centres[cell]).sum(axis=1).max())
        self.factors = torch.from_numpy(factors).to(device)

    def __len__(self) -> int:
        return len(self.starts)

    def places(self, cell: int) -> slice:
        """Return the places of a cell, with those that only fill up."""
        return slice(self.starts[cell], self.stops[cell])

    def taken(self, cell: int) -> slice:
        """Return the places of a cell that hold a vector."""
        return slice(self.starts[cell], self.ends[cell])

    def as_queries(self, cell: int) -> torch.Tensor:
        """Return the (d + 2, m) other side of the product, (-2c, 1, |c|^2), for the vectors of a cell."""
        own = self.factors[self.taken(cell)]
        d = own.shape[1] - 2
        return torch.cat([own[:, :d] * -2, own[:, d + 1 :], own[:, d : d + 1]], dim=1).T

    def distances_to(self, centres: NDArray[np.float64], cell: int) -> NDArray[np.float64]:
        """Return the (m, c) scaled distances of a cell's vectors to centres, right within SLACK / 4 and a little less."""
        own = self.factors[self.taken(cell), :-2].cpu().double()
        squares = torch.mm(own, torch.from_numpy(centres).T).mul_(-2)  # by torch, whose threads are set
        squares += torch.from_numpy(self.norms[self.taken(cell)])[:, None]
        squares += torch.from_numpy(np.einsum("ij,ij->i", centres, centres))
        return squares.clamp_(min=0).sqrt_().numpy()


def _split(vectors: Vectors, most: int) -> list[Rows]:
    """Return ascending rows in parts of at most `most`: those nearest to the same of n / (most / 2) centres.

    The centres are means of a sample. Parts that come out too large are cut in halves across their principal axis.
    """
    if len(vectors) <= most:
        return [np.arange(len(vectors))]
    nearest = _nearest_centre(vectors, _means(vectors, max(2, 2 * len(vectors) // most)))
    waiting = np.split(np.argsort(nearest, kind="stable"), np.cumsum(np.bincount(nearest))[:-1])
    parts = []
    while waiting:
        rows = waiting.pop()
        if len(rows) > most:
            along = vectors[rows] @ _principal_axis(vectors[rows[:: max(1, len(rows) // 512)]])
            halves = np.argpartition(along, len(rows) // 2)
            waiting += np.split(rows[halves], [len(rows) // 2])
        elif len(rows):
            parts.append(np.sort(rows))
    return parts[::-1]


def _means(vectors: Vectors, count: int) -> Vectors:
    """Return (count, d) centres after some steps of Lloyd's algorithm on evenly spaced rows."""
    sample = vectors[:: max(1, len(vectors) // (_SAMPLE_PER_CELL * count))]
    centres = sample[:: max(1, len(sample) // count)][:count].copy()
    for _ in range(_STEPS):
        nearest = _nearest_centre(sample, centres)
        sizes = np.bincount(nearest, minlength=len(centres))
        order = np.argsort(nearest, kind="stable")
        filled = np.flatnonzero(sizes)
        sums = np.add.reduceat(sample[order], (np.cumsum(sizes) - sizes)[filled], axis=0)
        centres[filled] = sums / sizes[filled, None]
    return centres


def _nearest_centre(vectors: Vectors, centres: Vectors) -> Rows:
    """Return (n,) which centre is about nearest: by float32 products, so only a good guess."""
    norms = torch.from_numpy(np.einsum("ij,ij->i", centres, centres))
    towards = torch.from_numpy(centres).T * -2
    nearest = np.empty(len(vectors), np.int64)
    for start in range(0, len(vectors), _CHUNK_ROWS // 4):
        chunk = as_tensor(vectors[start : start + _CHUNK_ROWS // 4])
        nearest[start : start + len(chunk)] = torch.addmm(norms, chunk, towards).argmin(dim=1).numpy()
    return nearest


def _principal_axis(sample: Vectors) -> Vectors:
    """Return a (d,) direction of large variance: five steps of the power method."""
    centred = sample - sample.mean(axis=0, dtype=np.float64).astype(np.float32)
    largest = float(np.abs(centred).max())
    centred /= largest or 1
    axis = centred[np.argmax(np.einsum("ij,ij->i", centred, centred))]
    for _ in range(5):
        axis = (centred @ axis) @ centred
        axis /= float(np.abs(axis).max()) or 1
    return axis


def _largest_square(vectors: Vectors, shift: Vectors) -> float:
    return max(
        float(np.square(vectors[start : start + _CHUNK_ROWS] - shift, dtype=np.float64).sum(axis=1).max())
        for start in range(0, len(vectors), _CHUNK_ROWS)
    )


def as_tensor(array: NDArray[np.float32]) -> torch.Tensor:
    """Return a tensor over the array's memory, also where it may only be read."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable.*")
        return torch.from_numpy(array)
