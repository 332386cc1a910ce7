"""What a selection must keep to, whatever is best. Values only, no behaviour."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Quota:
    """Bounds on the number of picks by the value of one key, such as a camera.

    `labels` (n,): the number of each row's value, 0 to v - 1, or -1 for none. `at_least`, `at_most` (v,): bounds of each
    value; 0 and a number of n or more bound nothing. Preselected rows do not count.
    """

    labels: NDArray[np.int64]
    at_least: NDArray[np.int64]
    at_most: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Protected:
    """(p, d) float32 vectors, such as a test split: a candidate at `radius` or nearer to one is never picked."""

    embeddings: NDArray[np.float32]
    radius: float


@dataclass(frozen=True, slots=True)
class Rules:
    """`groups` (n,) numbers rows that belong together: all candidates of a group are picked, or none; None: each alone."""

    quotas: tuple[Quota, ...] = ()
    groups: NDArray[np.int64] | None = None
    protected: Protected | None = None
