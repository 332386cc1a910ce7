"""Selects rows of a pool: the product of objectives, greedily, by the quickest way that gives the exact picks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.device import Device
from worker.selection.farthest import farthest_first
from worker.selection.greedy import greedy
from worker.selection.objectives import Diversity, Term, Weights
from worker.selection.pool import Pool

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows in pick order. `insertion_distances` (k,) exist for diversity alone: see `Traversal`."""

    rows: Rows
    insertion_distances: NDArray[np.float64] | None = None


def select(
    pool: Pool,
    terms: Sequence[Term],
    n: int,
    *,
    device: Device,
    preselected: Rows | None = None,
    tile_bytes: int = 2**23,
) -> Selection:
    """Pick n candidates (all, if there are fewer), each with the largest product of objective ** strength.

    Diversity alone with a positive strength is an exact farthest-first traversal on the device. One weights term
    alone is a sort. Every other mix is a plain greedy pass on the CPU. The lowest row wins ties.

    Args:
        pool: embeddings and the rows that may be picked.
        terms: at least one; without any, use `draw`.
        n: at least 1.
        device: where the matrix products of diversity run.
        preselected: rows of the pool that count as selected before the first pick; they are never picked.
        tile_bytes: working memory of diversity; never changes the result.

    Raises:
        ValueError: no term, n below 1, or weights that are not finite, negative, or of another length.
    """
    if not terms:
        raise ValueError("terms: at least one is needed; without any, draw at random")
    if n < 1:
        raise ValueError(f"n should be at least 1, got {n}")
    for term in terms:
        if isinstance(term, Weights):
            _check_weights(term.values, len(pool))
    started = np.empty(0, np.int64) if preselected is None else preselected
    open_ = pool.candidates.copy()
    open_[started] = False
    candidates = np.flatnonzero(open_)
    if not len(candidates):
        return Selection(candidates)
    match terms:
        case [Diversity(strength=strength)] if strength > 0:
            return _diverse(pool, n, candidates, started, device=device, tile_bytes=tile_bytes)
        case [Weights(values=values, strength=strength)] if strength != 0:
            order = np.argsort(-values[candidates] if strength > 0 else values[candidates], kind="stable")
            return Selection(candidates[order[:n]])
        case _:
            return Selection(
                greedy(pool, terms, min(n, len(candidates)), candidates=candidates, preselected=started)
            )


def covering_radius(pool: Pool, selected: Rows, *, device: Device, tile_bytes: int = 2**23) -> float:
    """Return the largest distance from any row of the pool, candidate or not, to its nearest selected row; exact.

    Raises:
        ValueError: nothing is selected.
    """
    if not len(selected):
        raise ValueError("selected: a covering radius needs at least one row")
    others = np.ones(len(pool), np.bool_)
    others[selected] = False
    if not others.any():
        return 0.0
    farthest = farthest_first(
        pool.embeddings,
        1,
        candidates=np.flatnonzero(others),
        preselected=selected,
        device=device.torch_name,
        tile_bytes=tile_bytes,
    )
    return float(farthest.distances[0])


def _diverse(
    pool: Pool, n: int, candidates: Rows, preselected: Rows, *, device: Device, tile_bytes: int
) -> Selection:
    found = farthest_first(
        pool.embeddings,
        n,
        candidates=candidates,
        preselected=preselected,
        device=device.torch_name,
        tile_bytes=tile_bytes,
    )
    return Selection(found.rows, found.distances)


def _check_weights(weights: NDArray[np.float64], rows: int) -> None:
    if weights.shape != (rows,):
        raise ValueError(f"weights should be ({rows},), one a row of the pool, got shape {weights.shape}")
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"weights: row {row} has {weights[row]}; weights should be finite and 0 or more")
