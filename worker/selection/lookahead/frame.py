"""Float32 products between vectors, with a proven error: upper and lower bounds of squared distances.

Write a and c for two vectors after a shift (about a mean, any vector would do) and a scaling by a power of two,
u = 2**-24 for float32's rounding, and |.| for the norm. One product of d + 1 terms, (-2c, |c|^2) by (a, 1), and one
addition give |a|^2 + |c|^2 - 2ac, which is off by at most 2(d + 2)u(|a|^2 + |c|^2), whatever the order of the
additions (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1). Rounding the shifted vectors adds 4u,
norms summed in float32 (d + 2)u. With `error` = (3d + 40)u, rounded up for the terms in u^2, all of it is below
error * (|a|^2 + |c|^2). So norms enlarged by 1 + error make the result an upper bound, and twice that taken off again
makes it a lower bound.
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

_SAMPLE_ROWS = 256
_CHUNK_ROWS = 4096
_LARGEST_BITS = 100
"""Scales end here, far inside float32's range."""
_UNDERFLOW = 2.0**-100
"""Added to norms: more than all that float32 loses below its smallest normal number."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A shift (d,) and a power of two: `place` scales, then shifts. No squared norm after it exceeds 1."""

    shift: torch.Tensor
    scale: float

    @classmethod
    def around(cls, vectors: Vectors, device: str) -> "Frame":
        """Return the frame about the mean of some of these (m, d) vectors, wide enough for all of them."""
        if not len(vectors):
            return cls(torch.zeros(vectors.shape[1], device=device), 1.0)
        mean = vectors[:: -(-len(vectors) // _SAMPLE_ROWS)].mean(axis=0, dtype=np.float64)
        reach = math.sqrt(vectors.shape[1]) * (float(np.abs(mean).max()) + _largest(vectors))
        scale = 2.0 ** min(_LARGEST_BITS, -math.ceil(math.log2(reach))) if reach > 0 else 1.0
        return cls(torch.from_numpy((-mean * scale).astype(np.float32)).to(device), scale)

    @property
    def error(self) -> float:
        """The relative error of a product: see above."""
        return 1.01 * (3 * len(self.shift) + 40) * 2.0**-24

    def place(self, rows: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
        """Return (m, d + 1) of (m, d) rows: scaled and shifted, then a one, which `out` should hold already."""
        if out is None:
            out = torch.ones(len(rows), len(self.shift) + 1, device=self.shift.device)
        torch.add(self.shift, rows, alpha=self.scale, out=out[:, :-1])
        return out

    def upper(self, placed: torch.Tensor) -> torch.Tensor:
        """Return (m,) enlarged squared norms."""
        return torch.linalg.vector_norm(placed[:, :-1], dim=1).square_().mul_(1 + self.error).add_(_UNDERFLOW)

    def lower(self, upper: torch.Tensor) -> torch.Tensor:
        """Return the (m,) norms that make lower bounds out of those that make upper ones."""
        return upper * (1 - 2 * self.error) - 4 * _UNDERFLOW

    @staticmethod
    def columns(placed: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
        """Return the (d + 1, m) right side: `placed` rows @ columns + the rows' norms are the squared distances."""
        turned = placed * -2
        turned[:, -1] = norms
        return turned.T


def as_tensor(array: NDArray[np.float32]) -> torch.Tensor:
    """Return a tensor of the same memory, which may be read-only: it is only read."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable.*")
        return torch.from_numpy(array)


def _largest(vectors: Vectors) -> float:
    """Return the largest magnitude, read in pieces that stay in cache."""
    pieces = (vectors[start : start + _CHUNK_ROWS] for start in range(0, len(vectors), _CHUNK_ROWS))
    return max(max(float(piece.max()), -float(piece.min())) for piece in pieces)
