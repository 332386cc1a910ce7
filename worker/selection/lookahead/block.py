"""Picks inside a block of candidates whose squared distances are known exactly."""

import numpy as np
import torch
from numpy.typing import NDArray

from worker.selection.exact import squared_between
from worker.selection.lookahead.frame import Frame, Vectors, as_tensor

Rows = NDArray[np.int64]
Squares = NDArray[np.float64]

TIE = 1e-12
"""Squared distances that differ by less, relative to the larger one, are equal; then the lowest row wins."""

_FEWEST, _MOST = 8, 64
_PRODUCTS = 2**22
"""Lower bounds held at once at most (16 MiB), but for those of one candidate."""


class Block:
    """Ascending `rows` (m,), their `vectors` (m, d), and the (m,) squares of their distances to what is selected.

    Picks come from the few best of the block as long as the best of them beats the rest, and are then applied to the
    rest together. Float32 products with a proven error (frame.py) tell which candidates a pick could have come nearer
    to; only their distances are computed. Memory: 12 * d + 40 bytes a candidate, and 16 MiB.
    """

    def __init__(self, rows: Rows, vectors: Vectors, squares: Squares, *, device: str) -> None:
        self.rows = rows
        self.vectors = vectors
        self._device = device
        self._frame = Frame.around(vectors, device)
        self._unit = self._frame.scale**2
        self._squares = squares * self._unit
        self._prepared: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None
        self._level_from: int | None = None
        self._wanted = max(1, min(_MOST, _PRODUCTS // max(1, len(rows))))
        self._few = np.empty(0, np.int64)  # places of the few best, ascending
        self._few_squares = np.empty(0)
        self._between = np.empty((0, 0))  # squared distances among them; inf: too far to matter
        self._lower = np.empty((0, 0), np.float32)  # bounds of squared distances from them to all
        self._picked: list[int] = []  # which of the few
        self._rest = np.inf  # the largest value of all others
        self._rival = 0  # the first place among them with this value

    @property
    def squares(self) -> Squares:
        """(m,) squared distances; -inf for what was picked or closed."""
        self._apply()
        return self._squares / self._unit

    def best(self) -> tuple[int, float] | None:
        """Return the place and squared distance of the farthest candidate, the first of equal ones; None: none left."""
        while self._level_from is None:
            highest = max(self._few_squares.max(initial=-np.inf), self._rest)
            if highest == -np.inf:
                return None
            index = int((self._few_squares >= highest * (1 - TIE)).argmax()) if len(self._few) else 0
            if len(self._few) and self._few_squares[index] >= highest * (1 - TIE):
                place = int(self._few[index])
                if highest * (1 - TIE) > self._rest or place < self._rival:
                    return place, float(self._few_squares[index]) / self._unit
            self._renew()
        while self._level_from < len(self.rows) and self._squares[self._level_from] < 0:
            self._level_from += 1
        return (self._level_from, 0.0) if self._level_from < len(self.rows) else None

    def pick(self, place: int) -> None:
        """Select what `best` has returned: others may have come nearer to something selected."""
        if self._level_from is not None:
            self._squares[place] = -np.inf
            return
        index = int(self._few.searchsorted(place))
        np.minimum(self._few_squares, self._between[index], out=self._few_squares)
        self._few_squares[index] = -np.inf
        self._picked.append(index)

    def close(self, rows: Rows) -> None:
        """Leave out those of these rows that are in the block."""
        self._squares[np.isin(self.rows, rows)] = -np.inf
        self._few_squares[np.isin(self.rows[self._few], rows)] = -np.inf

    def _apply(self) -> None:
        """Let the whole block know of the picks among the few."""
        self._squares[self._few] = self._few_squares
        if self._picked:
            of, to = (self._lower[self._picked] < self._squares).nonzero()
            chosen = self._few[self._picked]
            found = squared_between(self.vectors, chosen[of], self.vectors, to) * self._unit
            np.minimum.at(self._squares, to, found)
            self._picked.clear()

    def _renew(self) -> None:
        """Choose the few best anew: more where many had to go, ever more where ties hide which are the best."""
        if self._picked:
            most = max(1, min(_MOST, _PRODUCTS // len(self.rows)))
            self._wanted = min(max(2 * len(self._picked), _FEWEST), most)
        elif len(self._few):
            self._wanted = 4 * len(self._few)
        self._apply()
        squares = self._squares
        highest = squares.max(initial=-np.inf)
        if highest == -np.inf:
            self._few, self._few_squares, self._rest = np.empty(0, np.int64), np.empty(0), highest
            return
        if highest == 0:  # all coincide with something selected: row order
            self._level_from = 0
            return
        self._few = _highest(squares, self._wanted)
        self._few_squares = squares[self._few]
        self._lower = self._lower_bounds(self._few)
        self._between = self._distances_between(self._few)
        others = squares.copy()
        others[self._few] = -np.inf
        self._rest = others.max(initial=-np.inf)
        self._rival = int((others >= self._rest * (1 - 3 * TIE)).argmax())

    def _lower_bounds(self, places: Rows) -> NDArray[np.float32]:
        if self._prepared is None:
            placed = self._frame.place(as_tensor(self.vectors).to(self._device))
            least = self._frame.lower(self._frame.upper(placed))
            self._prepared = placed, least, self._frame.columns(placed, least)
        placed, least, columns = self._prepared
        some = torch.from_numpy(places).to(self._device)
        return torch.mm(placed[some], columns).add_(least[some, None]).cpu().numpy()

    def _distances_between(self, places: Rows) -> Squares:
        between = np.full((len(places), len(places)), np.inf)
        of, to = (self._lower[:, places] < self._few_squares).nonzero()
        found = squared_between(self.vectors, places[of], self.vectors, places[to])
        between[of, to] = found * self._unit
        return between


def _highest(squares: Squares, count: int) -> Rows:
    """Return ascending places of the `count` highest squares that are left, the first ones of equal ones."""
    if count >= len(squares):
        return np.flatnonzero(squares >= 0)
    last = np.partition(squares, len(squares) - count)[len(squares) - count]
    if last < 0:
        return np.flatnonzero(squares >= 0)
    higher = np.flatnonzero(squares > last * (1 + 2 * TIE))
    equal = np.flatnonzero((squares >= last * (1 - 2 * TIE)) & (squares <= last * (1 + 2 * TIE)))
    return np.sort(np.concatenate([higher, equal[: count - len(higher)]]))
