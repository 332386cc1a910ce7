"""Which candidates lie so near to protected vectors that they are never picked; exact."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from worker.device import Device
from worker.selection.exact import squared_between
from worker.selection.pool import first_unusable
from worker.selection.rules import Protected

Rows = NDArray[np.int64]
Vectors = NDArray[np.float32]
Flags = NDArray[np.bool_]

_COLUMNS = 1024
"""Protected vectors in one product at most."""
_PAIR_BYTES = 48
"""Of a pair of a row and a protected vector at worst: product, comparisons, numbers and distance of a pair in doubt."""
_UNDERFLOW = 2.0**-100
"""More than all that float32 loses below its smallest normal number."""
_SLACK = 1e-6
"""Covers the rounding of the radius to float32."""


def too_near(
    embeddings: Vectors, candidates: Rows, protected: Protected, *, device: Device, memory_bytes: int = 2**26
) -> Rows:
    """Return the ascending candidates at a Euclidean distance of `radius` or less to a protected vector.

    Differences in float64 decide wherever float32 products leave a doubt. These are off by less than
    (2d + 32)u(|a|^2 + |c|^2) with u = 2**-24: see `frame.py`. Radius 0 finds exact copies only.

    Args:
        embeddings: (n, d), finite.
        candidates: (m,) ascending rows of it.
        protected: (p, d) vectors and the radius.
        device: where the products run.
        memory_bytes: held beside the embeddings and 12 * d bytes a protected vector; it never changes the result.

    Time: m * p * d multiplications, and a distance in float64 for each pair in doubt.

    Raises:
        ValueError: the protected vectors are not (p, d) float32 of usable numbers, or the radius is negative or not finite.
    """
    _check(embeddings, protected)
    if not len(protected.embeddings):
        return candidates[:0]
    vectors = np.unique(protected.embeddings, axis=0)
    step = max(1, memory_bytes // (8 * embeddings.shape[1] + _PAIR_BYTES * min(_COLUMNS, len(vectors))))
    near = np.zeros(len(candidates), np.bool_)
    with _whole_float32():
        for start in range(0, len(candidates), step):
            part = slice(start, start + step)
            rows = embeddings[candidates[part]]
            near[part] = _are_near(rows, vectors, protected.radius, device.torch_name)
    return candidates[near]


def _are_near(rows: Vectors, vectors: Vectors, radius: float, device: str) -> Flags:
    near = np.zeros(len(rows), np.bool_)
    for start, certain, of, to in _pairs(rows, vectors, radius, device):
        near |= certain
        open_ = ~near[of]
        own = of[open_]
        distances = np.sqrt(squared_between(rows, own, vectors, to[open_] + start))
        near[own[distances <= radius]] = True
    return near


def _pairs(
    rows: Vectors, vectors: Vectors, radius: float, device: str
) -> Iterator[tuple[int, Flags, Rows, Rows]]:
    """Yield for each run of vectors: its start, (b,) which rows are near for certain, rows and vectors in doubt."""
    shift = vectors[0]
    x, c = torch.from_numpy(rows - shift).to(device), torch.from_numpy(vectors - shift).to(device)
    largest = max(float(x.abs().max()), float(c.abs().max()), radius)
    scale = 2.0 ** -math.ceil(math.log2(largest)) if largest > 0 else 1.0
    x, c = x * scale, c * scale
    square = (radius * scale) ** 2
    least, doubt = _bounded(x)
    for start in range(0, len(c), _COLUMNS):
        columns = c[start : start + _COLUMNS]
        their_least, their_doubt = _bounded(columns)
        lower = torch.addmm(their_least, x, columns.T, alpha=-2)
        suspects = torch.nonzero(lower.amin(dim=1) + least <= square * (1 + _SLACK)).flatten()
        lower = lower[suspects] + least[suspects, None]
        upper = lower + doubt[suspects, None] + their_doubt
        is_certain = (upper <= square * (1 - _SLACK)).any(dim=1)
        certain = np.zeros(len(x), np.bool_)
        certain[suspects[is_certain].cpu().numpy()] = True
        suspects, lower = suspects[~is_certain], lower[~is_certain]
        of, to = torch.nonzero(lower <= square * (1 + _SLACK), as_tuple=True)
        yield start, certain, suspects[of].cpu().numpy(), to.cpu().numpy()


def _bounded(vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (m,) norms lowered by the error of a product, and how much more than that each may add to a distance."""
    norms = vectors.double().square().sum(dim=1)
    error = 1.01 * (2 * vectors.shape[1] + 32) * 2.0**-24 * norms + _UNDERFLOW
    return (norms - error).float(), (4 * error).float()


@contextmanager
def _whole_float32() -> Iterator[None]:
    """Keep TF32 out of products meanwhile."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)


def _check(embeddings: Vectors, protected: Protected) -> None:
    vectors, radius = protected.embeddings, protected.radius
    if vectors.ndim != 2 or vectors.shape[1] != embeddings.shape[1] or vectors.dtype != np.float32:
        raise ValueError(
            f"protected: embeddings should be (p, {embeddings.shape[1]}) float32,"
            f" got {vectors.dtype} of shape {vectors.shape}"
        )
    row = first_unusable(vectors)
    if row is not None:
        raise ValueError(f"protected: embedding {row} holds NaN, infinity or a number beyond 1e18")
    if not 0 <= radius < math.inf:
        raise ValueError(f"protected: radius should be finite and 0 or more, got {radius}")
