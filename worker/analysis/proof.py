"""What the distances prove about a selection, whatever strategy made it."""

import numpy as np
from numpy.typing import NDArray

from worker.analysis.distances import Embeddings, Rows, Values
from worker.facts import Curve, Proof
from worker.selection.interval import RadiusInterval

MAX_STEPS = 500
_BLOCK_STEPS = 32


def prove(
    *,
    coverage: Values,
    is_candidate: NDArray[np.bool_],
    separation: float | None,
    insertion: Curve,
    narrowed: RadiusInterval | None = None,
) -> Proof:
    """Bound the smallest covering radius that any selection of the same size could have.

    `coverage` holds (m,) distances from input samples to the closest kept one, `is_candidate` (m,) says which of
    them could be picked, `separation` is the smallest distance from a selected sample to another kept one.

    With radius r over the candidates, the k selected samples and the candidate at distance r are k + 1 samples at
    least s = min(separation, r) apart. Any k centres serve two of them from one centre, which is then at least
    s / 2 away from one of the two (T. F. Gonzalez, 1985). So the best radius lies in [s / 2, r]; samples that
    were kept before stay centres in every selection compared.

    `narrowed` is a better interval for the same candidates and number of picks (`selection/interval.py`), where
    nothing was kept before: then the nearer end counts on either side.
    """
    radius = float(coverage[is_candidate].max()) if is_candidate.any() and len(coverage) else None
    low, reason = _lowest(radius, separation, insertion.picks)
    high = radius
    if narrowed is not None and radius and narrowed.lowest > 0:
        low, reason = max(low or 0.0, narrowed.lowest), None
        high = min(radius, narrowed.highest)
    return Proof(
        radius_pool=float(coverage.max()) if len(coverage) else None,
        radius_candidates=radius,
        separation=separation,
        optimum_low=low,
        optimum_high=None if low is None else high,
        reason=reason,
        insertion=insertion,
    )


def insertion_curve(embeddings: Embeddings, rows: Rows, preselected: Rows) -> Curve:
    """Return, for at most MAX_STEPS picks, the distance to the closest sample kept before it.

    `rows` are the picks in order. The first pick has no distance unless something was kept before the job.
    Needs (_BLOCK_STEPS, k) float64 at a time for k kept samples.
    """
    first = 0 if len(preselected) else 1
    steps = np.arange(first, len(rows))
    if len(steps) > MAX_STEPS:
        steps = steps[np.unique(np.linspace(0, len(steps) - 1, MAX_STEPS).round().astype(np.int64))]
    kept = np.concatenate([preselected, rows])
    found: list[float] = []
    for block in np.array_split(steps, max(1, -(-len(steps) // _BLOCK_STEPS))):
        found.extend(_to_earlier(embeddings, rows[block], kept, earlier=len(preselected) + block))
    return Curve(picks=len(rows), steps=tuple(int(step) + 1 for step in steps), distances=tuple(found))


def _to_earlier(embeddings: Embeddings, picks: Rows, kept: Rows, *, earlier: Rows) -> list[float]:
    if not len(picks):
        return []
    queries = embeddings[picks].astype(np.float64)
    base = embeddings[kept[: int(earlier.max())]].astype(np.float64)
    squared = (base**2).sum(axis=1) - 2 * (queries @ base.T)  # (b, k), short of |query|^2
    squared[np.arange(len(base)) >= earlier[:, None]] = np.inf
    closest = base[squared.argmin(axis=1)]
    # The product only finds the neighbour; by differences a twin is exactly 0.
    return [float(one) for one in np.sqrt(((queries - closest) ** 2).sum(axis=1))]


def _lowest(radius: float | None, separation: float | None, picks: int) -> tuple[float | None, str | None]:
    if not picks or radius is None:
        return None, "nothing was selected"
    if radius == 0:
        return None, "every candidate was picked, or has an identical twin that was"
    apart = radius if separation is None else min(separation, radius)
    if apart == 0:
        return None, "two kept samples have identical embeddings, so the lower end would be 0"
    return apart / 2, None
