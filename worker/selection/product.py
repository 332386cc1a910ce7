"""The greedy pass for diversity beside weights and balance, exact and with few looks at all candidates.

A pick only lowers distances, so old ones are upper bounds, and so is a product with an old distance in it, where
distances count with a positive strength. Each round takes the block of candidates with the largest such bounds,
computes their true distances, and goes on picking inside the block while the best product there exceeds the bound of
everything outside. What all products share, the sums of spread, weights and classes, is known exactly at any time:
it says by how much anything outside can have risen, and only where that is too loose are products outside computed
anew. Picks are those of `greedy`.
"""

import math
from collections.abc import Sequence

import numpy as np

from worker.selection.exact import squared_distances
from worker.selection.greedy import TIE, Ended, Opening, Picks, is_below
from worker.selection.lookahead.bounds import UpperBounds, upper_bounds
from worker.selection.lookahead.standing import Peak, Standing
from worker.selection.objectives import Rows
from worker.selection.pool import Pool
from worker.selection.terms import Balance, Diversity, Mode, Term, Weights

_BLOCK_ROWS = 1024
_REACH = 4
"""Times as many candidates as a block has are brought up to date to find its rows, and as many times more until enough."""
_FILTERED_ROWS = 4096
"""A block of at most this many rows is filtered by products before distances are computed."""


def is_lazy(terms: Sequence[Term]) -> bool:
    """Return whether `product` can do these: distances of rows with a positive strength, and no target range."""
    strength = 0.0
    for term in terms:
        match term:
            case Diversity(objects=None):
                strength += term.strength
            case Weights(target=None) | Balance():
                pass
            case _:
                return False
    return strength > 0


def product(
    pool: Pool,
    terms: Sequence[Term],
    *,
    candidates: Rows,
    preselected: Rows,
    gate: Opening,
    mode: Mode = "objective_product",
    device: str = "cpu",
    tile_bytes: int = 2**23,
    block_rows: int = _BLOCK_ROWS,
) -> Picks:
    """Pick from the ascending candidate rows until the gate is done, as `greedy` does; see `is_lazy` for the terms.

    Args:
        pool: see `greedy`, like terms, candidates, preselected, gate and mode.
        terms: of which `is_lazy`.
        candidates: ascending rows.
        preselected: rows that count as selected.
        gate: closes candidates.
        mode: objective_product or gain_product.
        device: torch's name of where bounds are computed.
        tile_bytes: see `upper_bounds`; never changes the result.
        block_rows: candidates looked at closely in a round; changes speed only.

    Memory beside the embeddings and `upper_bounds`: about 60 bytes a candidate, 16 a class where shares differ from
    row to row, 20 * d * block_rows + 4 * block_rows ** 2, and 8 * d a pick.
    """
    if not len(candidates):
        return Picks([], gate.ended)
    standing = Standing(pool, terms, candidates, mode)
    for row in preselected.tolist():
        standing.add(row)
    with upper_bounds(pool.embeddings, candidates, device=device, tile_bytes=tile_bytes) as bounds:
        if len(preselected):
            bounds.add(preselected)
        run = _Run(bounds, standing, terms, gate)
        run.go(block_rows)
    return Picks(run.picks, run.ended)


class _Outside:
    """Candidates outside the block, and a bound of their products."""

    def __init__(self, bounds: UpperBounds, standing: Standing, at: Rows) -> None:
        self._bounds, self._standing, self._at = bounds, standing, at
        self._peak = self._measured()

    def is_below(self, value: float) -> bool:
        """Return whether all products are; where the bound does not tell, they are computed anew."""
        if self._ceiling() < value:
            return True
        self._peak = self._measured()
        return self._ceiling() < value

    def _ceiling(self) -> float:
        return -math.inf if self._peak is None else self._standing.ceiling(self._peak)

    def _measured(self) -> Peak | None:
        self._at = self._at[self._standing.open[self._at]]
        return (
            self._standing.peak(self._standing.watch(self._at), self._bounds.at(self._at))
            if len(self._at)
            else None
        )


class _Run:
    def __init__(self, bounds: UpperBounds, standing: Standing, terms: Sequence[Term], gate: Opening) -> None:
        self.picks: list[int] = []
        self.ended: Ended | None = None
        self._bounds, self._standing, self._terms, self._gate = bounds, standing, terms, gate
        apart = [(t.on_too_close, t.minimum_distance) for t in terms if isinstance(t, Diversity)]
        self._skip = max((distance for way, distance in apart if way == "skip"), default=0.0)
        self._stop = max((distance for way, distance in apart if way == "stop"), default=0.0)
        self._passed_over = False
        self._close(gate.start())

    def go(self, block_rows: int) -> None:
        """Pick until there is nothing more to pick."""
        if not self._standing.selected:
            self._first()
        if self._standing.selected:
            self._bounds.refresh(np.flatnonzero(self._standing.open))
        size = block_rows
        while self._goes_on():
            before = len(self.picks)
            self._pick_in_block(*self._block(size))
            found = self.picks[before:]
            self._bounds.add(np.array(found, np.int64))
            # No pick: so many candidates are level with the best that the block could not hold them.
            size = block_rows if found else size * _REACH

    def _first(self) -> None:
        if self._goes_on():
            everyone = np.arange(len(self._standing.open))
            self._standing.refer(0.0)
            products = self._standing.products(self._standing.watch(everyone), None)
            if self._pick(int((products >= products.max() - TIE).argmax()), math.inf):
                self._bounds.add(np.array(self.picks))

    def _goes_on(self) -> bool:
        if self.ended is None and self._gate.done:
            self.ended = self._gate.ended
            return False
        if not self._standing.open.any():
            self.ended = self._gate.ended or ("too_close" if self._passed_over else None)
        return self.ended is None and bool(self._standing.open.any())

    def _block(self, size: int) -> tuple[Rows, list[_Outside]]:
        """Return the ascending positions with the largest products as far as known, and all others."""
        at = np.flatnonzero(self._standing.open)
        upper = self._bounds.at(at)
        reach = _REACH * size
        self._standing.refer(float(upper.max()))
        products = self._standing.products(self._standing.watch(at), upper)
        while True:
            few = reach >= len(at)
            high = np.arange(len(at)) if few else np.argpartition(products, -reach)[-reach:]
            level = -math.inf if few else products[high].min()
            self._bounds.refresh(at[high])
            watched = self._standing.watch(at[high])
            products[high] = self._standing.products(watched, self._bounds.at(at[high]))
            inside = high[np.argpartition(-products[high], size - 1)[:size]] if size < len(high) else high
            if few or products[inside].min() >= level:
                break
            reach *= _REACH
        products[inside] = math.inf
        # The nearer to the block, the more often products must be computed anew.
        edges = [edge for edge in (size * _REACH**power for power in range(4)) if edge < len(at)]
        order = np.argpartition(-products, edges) if edges else np.arange(len(at))
        levels = np.split(order, edges)[1:]
        outside = [_Outside(self._bounds, self._standing, at[np.sort(level)]) for level in levels]
        return np.sort(at[inside]), outside

    def _pick_in_block(self, at: Rows, outside: list[_Outside]) -> None:
        standing = self._standing
        block = self._bounds.embeddings[self._bounds.candidates[at]]
        squares = self._bounds.exact(at)
        # Most distances inside the block are known to be too large to matter; a huge block does without.
        lower = self._bounds.lower_between(at) if len(at) <= _FILTERED_ROWS else None
        everyone, watched = np.arange(len(at)), standing.watch(at)
        while not self._gate.done:
            if self._skip:
                self._pass_over(at[np.sqrt(squares) < self._skip])
            products = standing.products(watched, squares)
            highest = float(products.max())
            needed = highest - TIE - standing.slack
            if highest == -math.inf or not all(others.is_below(needed) for others in outside):
                return
            best = int((products >= highest - TIE).argmax())
            if not self._pick(int(at[best]), math.sqrt(squares[best])):
                return
            nearer = (
                everyone if lower is None else np.flatnonzero(lower[best] < squares * self._bounds.scale**2)
            )
            squares[nearer] = np.minimum(
                squares[nearer], squared_distances(block[nearer], block[best : best + 1])
            )

    def _pick(self, at: int, distance: float) -> bool:
        row = int(self._bounds.candidates[at])
        if distance < self._stop:
            self.ended = "too_close"
        elif any(is_below(term, row) for term in self._terms):
            self.ended = "minimum_typicality"
        else:
            self.picks.append(row)
            self._standing.close(np.array([at]))
            self._standing.add(row)
            self._close(self._gate.picked(row))
        return self.ended is None

    def _pass_over(self, at: Rows) -> None:
        at = at[self._standing.open[at]]
        self._passed_over |= len(at) > 0
        self._standing.close(at)

    def _close(self, rows: Rows) -> None:
        if len(rows):
            at = np.searchsorted(self._bounds.candidates, rows)
            self._standing.close(at[self._standing.open[at]])
