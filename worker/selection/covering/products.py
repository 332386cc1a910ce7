"""Squared distances of many rows to a few by float64 products, with a proven error.

The error is that of `bounds.py` with u = 2**-53: vectors a and c shifted by one vector give |a|^2 + |c|^2 - 2ac, which
is off by less than (2d + 32)u (|a|^2 + |c|^2), whatever the order of summation.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Embeddings = NDArray[np.float32]


def squared_products(
    embeddings: Embeddings,
    rows: Rows,
    to: Rows,
    *,
    device: str,
    memory_bytes: int = 2**25,
    at_most_true: bool = False,
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Yield, for one slice of (m,) `rows` after the other, (b, s) squared distances to the s rows `to`.

    With `at_most_true` none of them exceeds the true value; otherwise they are as near as float64 comes. A slice never
    depends on what the machine has, so neither do the values. Memory: `memory_bytes`, and 16 * d bytes a row of `to`.
    """
    dimension = embeddings.shape[1]
    shift = embeddings[to[:1]].astype(np.float64)
    centres = torch.from_numpy(embeddings[to] - shift).to(device)
    lowered = 1 - 1.01 * (2 * dimension + 32) * 2.0**-53 if at_most_true else 1.0
    norms = centres.square().sum(dim=1) * lowered
    centres = centres.mul_(-2).T
    step = max(1, memory_bytes // (8 * (len(to) + 2 * dimension)))
    for start in range(0, len(rows), step):
        part = slice(start, min(start + step, len(rows)))
        x = torch.from_numpy(embeddings[rows[part]] - shift).to(device)
        squares = torch.addmm(norms, x, centres)
        squares += (x.square().sum(dim=1) * lowered)[:, None]
        yield part, squares.clamp_(min=0).cpu().numpy()
