"""What a selection must keep to, whatever is best. Values only, no behaviour."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Pooling = Literal["mean", "max", "first"]


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
class Windows:
    """Sequences of `length` rows, one after another: a window is picked whole, and no two that share a row.

    `starts` (w,) ascending: the first row of each. A window of which a row is no candidate is never picked. `pooling`
    makes one value of its rows'.
    """

    starts: NDArray[np.int64]
    length: int
    pooling: Pooling = "mean"


@dataclass(frozen=True, slots=True)
class Gap:
    """Picks on one line, such as the frames of a video, are at least `least` apart; the ends of windows count.

    `lines` (n,): the number of each row's line, or -1 for none. `places` (n,): where on it the row is, finite where it
    has a line. A group that has two rows nearer than this is never picked. Preselected rows keep nothing away.
    """

    lines: NDArray[np.int64]
    places: NDArray[np.float64]
    least: float


@dataclass(frozen=True, slots=True)
class Rules:
    """`groups` (n,) numbers rows that belong together: all candidates of a group are picked, or none; None: each alone.

    Where there are `windows`, these are picked instead of rows, and there are no groups.
    """

    quotas: tuple[Quota, ...] = ()
    groups: NDArray[np.int64] | None = None
    protected: Protected | None = None
    windows: Windows | None = None
    gap: Gap | None = None

    @property
    def bind(self) -> bool:
        """Whether there is any rule."""
        return bool(self.quotas) or any(
            rule is not None for rule in (self.groups, self.protected, self.windows, self.gap)
        )
