"""Distances of the first n rows of a list, for several n in one pass."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from worker.analysis.distances import Embeddings, Rows, Values, to_closest
from worker.device import Device

Budgets = NDArray[np.int64]

_BLOCK_ROWS = 64
_TILE_ROWS = 2_048
"""A block towards a tile is 1 MiB of float64, which stays in cache."""


class Prefixes:
    """Measures prefixes of lists of rows, each joined with the (p,) rows kept before, towards (m,) measured rows.

    Distances are float64 products around the mean: a distance of 0 may come out as about 1e-8 of the largest norm.
    Memory: 8 d bytes a measured row, 16 d a row of the list, and 8 bytes a budget and measured row.
    """

    def __init__(self, embeddings: Embeddings, *, measured: Rows, before: Rows, device: Device) -> None:
        self._embeddings = embeddings
        self._before = before
        self._device = device
        self._mean = embeddings.mean(axis=0, dtype=np.float64)
        self._measured = _right(self._around(measured))
        self._start = self._to_before(measured)

    def coverage(self, rows: Rows, budgets: Budgets) -> Values:
        """Return (b, m) distances from the measured rows to the nearest of the first n of (k,) rows."""
        points = _left(self._around(rows))
        found = np.empty((len(budgets), len(self._measured)))
        for first in range(0, len(self._measured), _TILE_ROWS):
            tile = slice(first, first + _TILE_ROWS)
            measured, least = self._measured[tile].T, self._start[tile].copy()
            for number, start, stop in _blocks(budgets):
                np.minimum(least, (points[start:stop] @ measured).min(axis=0), out=least)
                found[number, tile] = least
        return np.sqrt(found.clip(min=0, out=found))

    def diversity(self, rows: Rows, budgets: Budgets, places: Rows) -> Values:
        """Return (b, a) distances from rows[places] to the nearest other of the first n, NaN for what is not among them.

        `places` are (a,) ascending positions in the (k,) rows.
        """
        points = self._around(rows)
        left, right = _left(points), _right(points)
        asked = right[places]
        squares = self._to_before(rows[places])
        found = np.full((len(budgets), len(places)), np.nan)
        for number, start, stop in _blocks(budgets):
            old, until = np.searchsorted(places, (start, stop))
            if old:
                to_new = (left[start:stop] @ asked[:old].T).min(axis=0)
                np.minimum(squares[:old], to_new, out=squares[:old])
            if until > old:
                to_all = left[places[old:until]] @ right[:stop].T
                to_all[np.arange(until - old), places[old:until]] = np.inf
                np.minimum(squares[old:until], to_all.min(axis=1), out=squares[old:until])
            known = squares[:until]
            found[number, :until] = np.where(np.isinf(known), np.nan, known)
        return np.sqrt(found.clip(min=0, out=found))

    def _around(self, rows: Rows) -> Values:
        around: Values = self._embeddings[rows] - self._mean
        return around

    def _to_before(self, rows: Rows) -> Values:
        """Return (r,) squared distances to what was kept before; inf where nothing was."""
        if not len(self._before):
            return np.full(len(rows), np.inf)
        return to_closest(self._embeddings, rows, self._before, device=self._device)[0] ** 2


def _blocks(budgets: Budgets) -> Iterator[tuple[int, int, int]]:
    """Yield (number of the budget, start, stop) of pieces of rows; the last piece of a budget ends where it does."""
    start = 0
    for number, budget in enumerate(budgets.tolist()):
        while start < budget:
            stop = min(start + _BLOCK_ROWS, budget)
            yield number, start, stop
            start = stop


def _left(points: Values) -> Values:
    """Return (r, d + 2) factors: with those of `_right`, transposed, the product is the squared distances."""
    return np.column_stack([-2 * points, _norms(points), np.ones(len(points))])


def _right(points: Values) -> Values:
    return np.column_stack([points, np.ones(len(points)), _norms(points)])


def _norms(points: Values) -> Values:
    norms: Values = np.einsum("ij,ij->i", points, points)
    return norms
