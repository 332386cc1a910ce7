"""Integer programs over cells of candidates, solved by HiGHS. The only file that knows scipy's optimiser."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array, eye_array, hstack, vstack

Rows = NDArray[np.int64]
Whole = NDArray[np.int64]

_MOST_NODES = 2000
"""Branches of one program; picks that take more to find count as not there."""
_GAP = 0.05
"""How far from the best, relative, an answer may be. Whether there is one at all does not depend on it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Picks from c cells, of which `sizes` (c,) rows, `counts` (c, v) rows of each value, and `available` (c,) are given.

    Together they should bring `need` to `room` rows of each value, both (v,), in at most `left` rows.
    """

    sizes: Whole
    counts: csr_array
    available: Whole
    need: Whole
    room: Whole
    left: int

    def is_solved_by(self, picks: Whole) -> bool:
        """Return whether (c,) picks from each cell meet everything, in whole numbers."""
        totals = picks @ self.counts
        return bool(
            (picks >= 0).all()
            and (picks <= self.available).all()
            and (totals >= self.need).all()
            and (totals <= self.room).all()
            and picks @ self.sizes <= self.left
        )


def fewest_rows(problem: Problem) -> Whole | None:
    """Return (c,) picks of each cell that solve the problem in few rows; None when there are none."""
    return _solved(problem, problem.sizes.astype(np.float64))


def most_wanted(problem: Problem, wanted: Rows) -> Whole | None:
    """Return (c,) picks that solve the problem with many of the wanted cells; None when there are none with any.

    One more variable of at most 1 for each wanted cell, no larger than its picks; the sum of these is maximised.
    """
    cells, asked = len(problem.sizes), len(wanted)
    nothing = np.zeros(asked, np.int64)
    with_marks = Problem(
        sizes=np.concatenate([problem.sizes, nothing]),
        counts=csr_array(vstack([problem.counts, csr_array((asked, len(problem.need)), dtype=np.int64)])),
        available=np.concatenate([problem.available, nothing + 1]),
        need=problem.need,
        room=problem.room,
        left=problem.left,
    )
    chosen = csr_array((np.ones(asked), (np.arange(asked), wanted)), shape=(asked, cells))
    no_larger = LinearConstraint(hstack([chosen, -eye_array(asked)], format="csr"), 0, np.inf)
    cost = np.concatenate([np.zeros(cells), -np.ones(asked)])
    found = _solved(with_marks, cost, no_larger)
    return None if found is None or not found[wanted].any() else found[:cells]


def least_short(problem: Problem) -> Whole:
    """Return (v,) rows that are missing of each value where picks keep to room and rows and as few as possible are.

    One more variable for each value, which brings a row of it and takes none of the rows that are left.
    """
    values = len(problem.need)
    filled = Problem(
        sizes=np.concatenate([problem.sizes, np.zeros(values, np.int64)]),
        counts=csr_array(vstack([problem.counts, eye_array(values, dtype=np.int64, format="csr")])),
        available=np.concatenate([problem.available, problem.need]),
        need=problem.need,
        room=problem.room,
        left=problem.left,
    )
    cells = len(problem.sizes)
    found = _solved(filled, np.concatenate([np.zeros(cells), np.ones(values)]))
    return problem.need if found is None else found[cells:]


def _solved(problem: Problem, cost: NDArray[np.float64], *more: LinearConstraint) -> Whole | None:
    found = milp(
        cost,
        integrality=np.ones(len(cost)),
        bounds=Bounds(0, problem.available),
        constraints=[
            LinearConstraint(csr_array(problem.counts.T, dtype=np.float64), problem.need, problem.room),
            LinearConstraint(problem.sizes[None].astype(np.float64), -np.inf, problem.left),
            *more,
        ],
        options={"node_limit": _MOST_NODES, "mip_rel_gap": _GAP},
    )
    if found.x is None:
        return None
    picks = np.rint(found.x).astype(np.int64)
    return picks if problem.is_solved_by(picks) else None
