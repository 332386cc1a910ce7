"""Facility location: how well picks stand for all that could have been picked.

F(S) = sum over points x of w(x) * max over s in S of k(x, s), with k(x, y) = 1 - |x - y| / D in [0, 1] and F({}) = 0
(Cornuejols, Fisher and Nemhauser, Location of bank accounts to optimize float, 1977). D is twice the largest distance
from the mean, so never below a distance. Alone, the picks do not depend on D: they lower the weighted mean distance
to the closest pick the most.

Monotone: a larger S has a larger maximum at every x. Submodular: s adds w(x) * max(0, k(x, s) - max over S of k(x, .)),
which does not grow with S.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from worker.device import Device
from worker.selection.facility.coverage_tables import Dense, Every, Points, Sparse

Values = NDArray[np.float64]
Rows = NDArray[np.int64]

_FEWEST_NEIGHBOURS = 16
_MOST_NEIGHBOURS = 128
_ENTRY_BYTES = 64
"""Of one point and neighbour while the lists are made; 8 of them stay."""


class FacilityLocation:
    """What each of m candidates would add to F, for a selection that grows.

    `bounds` (m,) are upper bounds of what each would add, in a unit of the function's own; `exact` (m,) says which
    are the very values. All are, to begin with.

    Dense where 4 * m * p + 8 * p * d bytes fit into `memory_bytes`. Else each point knows its K nearest points only,
    and its similarity to others counts as 0: K is the largest of 16 to 128 for which 64 * p * (K + 1) bytes fit. The
    function is then monotone and submodular all the same, and no larger than F; with K = p - 1 it is F.

    Args:
        points: p vectors of m candidates.
        device: where the dense table lies and is worked on.
        every: runs a piece of work on slices, side by side where that pays: see `side_by_side`.
        memory_bytes: of the table; another (16 d + 50) p bytes are needed beside it.

    Raises:
        ValueError: not even 16 neighbours fit.
    """

    def __init__(self, points: Points, *, device: Device, every: Every, memory_bytes: int) -> None:
        self._table = _table(points, device=device, every=every, memory_bytes=memory_bytes)
        self._start = np.zeros(points.m)
        self.bounds = self._start
        self.exact = np.zeros(points.m, np.bool_)
        self.refresh(np.arange(points.m))
        self._start = self.bounds.copy()

    def refresh(self, positions: Rows) -> None:
        """Make the bounds of these candidates exact."""
        positions = positions[~self.exact[positions]]
        self.bounds[positions] = self._table.gains(positions)
        self.exact[positions] = True

    def add(self, position: int) -> None:
        """Select this candidate."""
        self._table.add(position)
        self.exact = self.bounds == 0  # nothing is gained any more where nothing was

    def restart(self) -> None:
        """Forget all picks."""
        self._table.restart()
        self.bounds = self._start.copy()
        self.exact = np.ones(len(self.bounds), np.bool_)


class _Table(Protocol):
    """Similarities of points to candidates, and each point's similarity to what is selected."""

    def gains(self, positions: Rows) -> Values:
        """Return what each of these candidates would add."""

    def add(self, position: int) -> None:
        """Select this candidate."""

    def restart(self) -> None:
        """Go back to what was selected before the first pick."""


def _table(points: Points, *, device: Device, every: Every, memory_bytes: int) -> _Table:
    count, dimension = points.vectors.shape
    is_dense = count < 2 or 4 * points.m * count + 8 * count * dimension <= memory_bytes
    neighbours = min(_MOST_NEIGHBOURS, memory_bytes // (_ENTRY_BYTES * max(1, count)) - 1, count - 1)
    if not is_dense and neighbours < min(_FEWEST_NEIGHBOURS, count - 1):
        least = _ENTRY_BYTES * count * (min(_FEWEST_NEIGHBOURS, count - 1) + 1)
        raise ValueError(
            f"submodular: {count} points need {least} bytes at least for {_FEWEST_NEIGHBOURS} neighbours each, and"
            f" memory_bytes is {memory_bytes}; raise it, or choose objective_product or gain_product"
        )
    if is_dense:
        return Dense(points, device=device, every=every)
    return Sparse(points, device=device, neighbours=neighbours)
