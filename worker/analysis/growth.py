"""How the distances inside a selection change, pick by pick; exact, in float64."""

from dataclasses import dataclass

import numpy as np

from worker.analysis.distances import Embeddings, Rows, Values
from worker.device import Device
from worker.selection.exact import squared_distances
from worker.selection.neighbours import nearest_others

_BLOCK_PICKS = 64


@dataclass(frozen=True, slots=True)
class Growth:
    """(k,) arrays in pick order.

    `inserted` is the distance from a pick to the nearest row kept before it, NaN where there was none; `nearest` and
    `distance` lead to the nearest other row that was kept in the end, the earlier one of equals, -1 and NaN without one.
    `before` and `after` are the sums of squared nearest-neighbour distances inside what is kept, without and with the
    pick; a single row has none and counts as 0.
    """

    inserted: Values
    nearest: Rows
    distance: Values
    before: Values
    after: Values


def grow(embeddings: Embeddings, picks: Rows, *, before: Rows, device: Device) -> Growth:
    """Replay (k,) picks from (n, d) embeddings, joined with the (p,) rows kept before.

    A float64 product finds which distances may have become smaller; differences in float64 then measure those.
    Cost O(k (p + k) d), and the neighbours among the rows kept before; memory (p + k) (8 d + 600) bytes.
    """
    inside = _Inside(embeddings, picks, before, device)
    inserted, sums = np.full(len(picks), np.nan), np.zeros((len(picks), 2))
    for start in range(0, len(picks), _BLOCK_PICKS):
        stop = min(start + _BLOCK_PICKS, len(picks))
        for pick, squares in zip(range(start, stop), inside.products(start, stop), strict=True):
            sums[pick, 0] = inside.total(pick)
            inserted[pick] = inside.add(pick, squares)
            sums[pick, 1] = inside.total(pick + 1)
    return Growth(
        inserted=inserted,
        nearest=inside.nearest[len(before) :],
        distance=inside.distances()[len(before) :],
        before=sums[:, 0],
        after=sums[:, 1],
    )


class _Inside:
    """Squared distance of every kept row to its nearest other one, and which that is."""

    def __init__(self, embeddings: Embeddings, picks: Rows, before: Rows, device: Device) -> None:
        self._embeddings = embeddings
        self._rows = np.concatenate([before, picks])
        self._already = len(before)
        kept = embeddings[self._rows]
        self._centred = kept - kept.mean(axis=0, dtype=np.float64) if len(kept) else kept.astype(np.float64)
        self._norms = np.einsum("ij,ij->i", self._centred, self._centred)
        # Twice what d products, their sum and the two norms can be off by, for the longest row.
        rounding = (2 * embeddings.shape[1] + 16) * np.finfo(np.float64).eps
        self._slack = rounding * float(self._norms.max(initial=0.0))
        self._squares = np.full(len(self._rows), np.inf)
        self.nearest = np.full(len(self._rows), -1, np.int64)
        if len(before) > 1:
            distances, positions = nearest_others(embeddings[before], 1, device=device)
            self._squares[: len(before)] = distances[:, 0] ** 2
            self.nearest[: len(before)] = before[positions[:, 0]]

    def products(self, start: int, stop: int) -> Values:
        """Return (stop - start, p + stop) squared distances of picks to everything kept up to them, by a product."""
        first, last = self._already + start, self._already + stop
        squares = self._centred[first:last] @ self._centred[:last].T
        squares *= -2
        squares += self._norms[:last]
        squares += self._norms[first:last, None]
        return squares

    def total(self, pick: int) -> float:
        """Return the sum of squares inside what is kept before a pick."""
        kept = self._already + pick
        return float(self._squares[:kept].sum()) if kept > 1 else 0.0

    def add(self, pick: int, squares: Values) -> float:
        """Join a pick, and return its distance to what was kept before; NaN for nothing."""
        here = self._already + pick
        if not here:
            return float("nan")
        earlier = squares[:here]
        changed = (earlier <= self._squares[:here] + self._slack) | (
            earlier <= earlier.min() + 2 * self._slack
        )
        (kept,) = np.nonzero(changed)
        own = self._rows[here]
        exact = squared_distances(self._embeddings[self._rows[kept]], self._embeddings[own : own + 1])
        closest = int(exact.argmin())
        shorter = exact < self._squares[kept]
        self._squares[kept[shorter]] = exact[shorter]
        self.nearest[kept[shorter]] = own
        self._squares[here], self.nearest[here] = exact[closest], self._rows[kept[closest]]
        return float(np.sqrt(exact[closest]))

    def distances(self) -> Values:
        """Return the distances; NaN where there is no other row."""
        return np.sqrt(np.where(np.isinf(self._squares), np.nan, self._squares))
