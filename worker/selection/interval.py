"""Narrows the interval in which the smallest possible covering radius lies, from both sides and with evidence.

A farthest-first traversal of k picks and radius r proves [r / 2, r] (T. F. Gonzalez, 1985). How near the ends can come
depends on the data: centres must be rows, which raises the lower end most where the dimension is high.
"""

import math
from dataclasses import dataclass

import numpy as np

from worker.device import Device
from worker.selection.covering.cover import cover
from worker.selection.covering.packing import Packing, best_packing, proven_radius
from worker.selection.covering.products import Embeddings, Rows
from worker.selection.covering.table import Table
from worker.selection.farthest import farthest_first

_FAR_ROWS = 16
"""Rows a pick that the searches look at, at most."""
_FEWEST_ROWS = 4
"""Rows a pick below which a search for centres would be blind."""
_BYTES_AN_ENTRY = 10
"""Of a table, what a search makes of it included."""
_FIRST_PART, _LAST_PART = 1 / 4, 1 / 256
_PATIENCE = 200
_CHECK_STEPS = 25


@dataclass(frozen=True, slots=True)
class RadiusInterval:
    """The smallest radius within which k candidates can cover all candidates lies in [lowest, highest].

    `witness_rows` (k,) cover every candidate within `highest`. `packing` is what no k candidates cover with less than
    `lowest`: see `packing.proven_radius`.
    """

    lowest: float
    highest: float
    witness_rows: Rows
    packing: Packing


def narrow(
    embeddings: Embeddings,
    candidates: Rows,
    selected: Rows,
    radius: float,
    *,
    device: Device,
    steps: int = 2000,
    memory_bytes: int = 2**29,
    seed: int = 0,
) -> RadiusInterval:
    """Search a better packing, then better centres, in tables of distances from far rows to candidates.

    The interval is inside [radius / 2, radius] where `selected` is a farthest-first traversal, and true for any. Both
    ends are decided by differences in float64; the searches only propose. It is the same for the same arguments on
    the same kind of machine. What a table has no room for is not searched: packings need 10 bytes a candidate and
    pick, centres 320 bytes a squared pick. Proving costs up to 16 * k products with every candidate.

    Args:
        embeddings: (rows, d), finite; may be a memory map.
        candidates: ascending rows that could have been picked.
        selected: (k,) rows among them, at least 1.
        radius: the largest distance from a candidate to its nearest selected row.
        device: where products run.
        steps: half of them steps of the game for weights, half swaps of a centre; each reads the table once or twice.
        memory_bytes: of a table and the work on it. Beside it about 80 bytes a candidate, and 256 * k * d.
        seed: of the random choices.

    Raises:
        ValueError: steps below 0, nothing selected, or a selected row that is no candidate.
    """
    if steps < 0:
        raise ValueError(f"steps should be at least 0, got {steps}")
    if not len(selected) or not np.isin(selected, candidates).all():
        raise ValueError("selected: at least one row is needed, and all of them among the candidates")
    if radius == 0:
        return RadiusInterval(0.0, 0.0, selected, Packing(selected[:0], np.empty(0, np.int64)))
    search = _Search(
        embeddings, candidates, selected, radius, device.torch_name, memory_bytes, np.random.default_rng(seed)
    )
    far = search.far_rows()
    lowest, packing = search.best_packing(far, steps // 2)
    highest, centres = search.best_centres(far, lowest, steps - steps // 2)
    return RadiusInterval(lowest, highest, centres, packing)


@dataclass(frozen=True, slots=True)
class _Search:
    embeddings: Embeddings
    candidates: Rows
    selected: Rows
    radius: float
    device: str
    memory_bytes: int
    rng: np.random.Generator

    def far_rows(self) -> Rows:
        """Return the selected rows, then those that a farthest-first traversal would pick after them."""
        k = len(self.selected)
        others = np.setdiff1d(self.candidates, self.selected, assume_unique=True)
        more = farthest_first(
            self.embeddings,
            max(1, min(_FAR_ROWS * k, self._entries // k) - k),
            candidates=others,
            preselected=self.selected,
            device=self.device,
        )
        return np.concatenate([self.selected, more.rows])

    def best_packing(self, far: Rows, steps: int) -> tuple[float, Packing]:
        """Return the larger proven radius, that of equal weights or of those found, and its packing."""
        k = len(self.selected)
        packings = [Packing(far[: k + 1], np.ones(k + 1, np.int64))]
        rows = min(len(far), self._entries // len(self.candidates))
        if rows > k:
            table = self._table(far[:rows], self.candidates, rows)
            found = best_packing(
                table.distances, table.rows, k, low=self.radius / 2, high=self.radius, steps=steps
            )
            packings.extend([found] if found else [])
        proofs = [self._proven(packing) for packing in packings]
        best = int(np.argmax(proofs))
        return proofs[best], packings[best]

    def best_centres(self, far: Rows, low: float, steps: int) -> tuple[float, Rows]:
        """Return the smaller exact radius, that of the selected rows or of the centres found, and its centres."""
        m, k = len(self.candidates), len(self.selected)
        room = min(len(far), math.isqrt(self._entries // 2))
        if room < min(m, _FEWEST_ROWS * k):
            return self.radius, self.selected
        far = far[:room]
        others = np.setdiff1d(self.candidates, far, assume_unique=True)
        drawn = self.rng.choice(others, min(m, self._entries // room) - room, replace=False)
        few = far if room == m else far[: room // 2]
        table = self._table(few, np.sort(np.concatenate([far, drawn])), room)
        found = table.columns[self._swapped(table, low, steps)]
        others = np.setdiff1d(self.candidates, found, assume_unique=True)
        covering = farthest_first(
            self.embeddings, 1, candidates=others, preselected=found, device=self.device
        )
        highest = float(covering.distances[0])
        return (highest, found) if highest < self.radius else (self.radius, self.selected)

    def _swapped(self, table: Table, low: float, steps: int) -> Rows:
        """Return the columns that cover every candidate within the smallest radius found.

        Centres that cover the table may forget other candidates: these join the table, as long as it has room.
        """
        best = tried = np.searchsorted(table.columns, self.selected)
        high, part = self.radius, _FIRST_PART
        patience = max(_PATIENCE, 2 * len(best))
        while steps > 0 and part > _LAST_PART and high > low:
            target = high - (high - low) * part
            tried, reached, taken = cover(
                table.distances, tried, target, swaps=min(steps, patience), rng=self.rng
            )
            steps -= taken + _CHECK_STEPS
            if reached:
                farthest, forgotten = table.forgotten(tried, target)
                if farthest < high:
                    best, high = tried, farthest
                if not len(forgotten) or table.add(forgotten):
                    continue
            part /= 2
            tried = best
        return best

    def _proven(self, packing: Packing) -> float:
        return proven_radius(
            self.embeddings,
            self.candidates,
            packing,
            len(self.selected),
            device=self.device,
            memory_bytes=self.memory_bytes // 8,
        )

    def _table(self, rows: Rows, columns: Rows, room: int) -> Table:
        return Table(
            self.embeddings,
            self.candidates,
            rows=rows,
            columns=columns,
            room=room,
            device=self.device,
            block_bytes=self.memory_bytes // 8,
        )

    @property
    def _entries(self) -> int:
        return self.memory_bytes // _BYTES_AN_ENTRY
