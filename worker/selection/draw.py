"""The pick where nothing ranks: a uniform draw."""

import numpy as np
from numpy.typing import NDArray


def draw(candidates: NDArray[np.bool_], keys: NDArray[np.uint64], n: int) -> NDArray[np.int64]:
    """Return (min(n, candidates),) rows of the (rows,) mask with the lowest (rows,) keys, in order of key.

    Independent uniform keys make it a uniform draw without replacement. Equal keys keep row order.
    """
    rows = np.flatnonzero(candidates)
    return rows[np.argsort(keys[rows], kind="stable")[:n]]
