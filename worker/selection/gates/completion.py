"""Closing with look-ahead: a cell stays open as long as some completion of the selection picks from it.

A completion is a number of further picks from every cell, so that rows and at_most are not exceeded and at_least is met.
To find one is an integer program. A known one proves more than the cells it picks from: another cell may be picked
from if that fits beside it, or in place of one of its picks. Such exchanges are found with a few array operations.
Only cells that no known completion proves are put into a program, all at once: find a completion that picks from as
many of them as possible. If none picks from any, they are closed.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from worker.selection.gates.programs import Problem, fewest_rows, least_short, most_wanted
from worker.selection.gates.quotas import QuotaConflict, Table, profiles

Rows = NDArray[np.int64]
Whole = NDArray[np.int64]
Flags = NDArray[np.bool_]

_MOST_KNOWN = 16
"""Completions kept; more of them prove more cells, and each costs a look at every pick."""
_MOST_CELLS = 4096
"""Cells in one program; with more, it is about a sample of them."""
_MOST_WANTED = 1024
"""Cells that one program is asked for."""
_MOST_PROGRAMS = 1000
"""In one selection; what is unproven after that is closed."""
_MOST_PATTERNS = 64
"""Pairs of patterns of reached bounds for which exchanges are looked for."""


class Completion:
    """Closes the cells that no completion picks from.

    Args:
        own: the bounds; its counts are not used.
        sizes: (c,) rows of one pick from each cell.
        counts: (c, v) rows of each value in one pick.
        available: (c,) candidates in each cell.
        n: rows in all.

    Raises:
        QuotaConflict: there is no completion even of the empty selection.
    """

    def __init__(self, own: Table, sizes: Whole, counts: csr_array, available: Whole, n: int) -> None:
        self._left = _Left(_Cells(sizes, counts, own.quotas), available, own.at_least, own.at_most, n)
        self._open = np.ones(len(sizes), np.bool_)
        self._sample = np.random.default_rng(0).permutation(len(sizes))[:_MOST_CELLS]
        self._is_shortest = True
        self.programs = 0
        every = np.arange(len(sizes))
        first = self._solution(np.sort(self._sample))
        if first is None and len(every) > _MOST_CELLS:
            first = self._solution(every)
        if first is None:
            raise _conflict(own, self._left.problem(every))
        self._known = [first]

    def start(self) -> Rows:
        """Return the cells that no completion of the empty selection picks from."""
        return self._settled()

    def picked(self, cell: int) -> Rows:
        """Return the cells that no completion picks from after a pick from this one."""
        self._is_shortest &= self._known[0].includes(cell)
        self._known = [known for known in self._known if known.yields_to(cell)]
        self._left.pick(cell)
        for known in self._known:
            known.refresh()
        self._known[0].shorten()
        return self._settled()

    def _settled(self) -> Rows:
        """Close what nothing proves."""
        cells = np.flatnonzero(self._open & (self._left.available > 0))
        unfit = self._left.too_much(cells)
        self._open[unfit] = False
        cells = cells[self._open[cells]]
        for known in self._known:
            cells = cells[~known.still_proves(cells)]
        for known in self._known:
            cells = cells[~known.proves(cells)]
        closed = [unfit]
        while len(cells):
            asked = cells[:_MOST_WANTED]
            found = self._more(asked)
            if found is None:
                self._open[asked] = False
                closed.append(asked)
                cells = cells[len(asked) :]
            else:
                cells = cells[~found.proves(cells)]
        return np.sort(np.concatenate(closed))

    def _more(self, wanted: Rows) -> "_Known | None":
        """Return a new completion: the shortest, which may not prove any of the wanted cells, else one that does."""
        if self.programs >= _MOST_PROGRAMS:
            return None
        shortest = None if self._is_shortest else self._solution(self._cells_for(wanted))
        self._is_shortest = True
        if shortest is not None:
            self._known = [shortest, *self._known[: _MOST_KNOWN - 1]]
            return shortest
        found = self._solution(self._cells_for(wanted), wanted)
        if found is not None:
            self._known = [*self._known[:1], found, *self._known[1 : _MOST_KNOWN - 1]]
        return found

    def _cells_for(self, wanted: Rows) -> Rows:
        """Return the open cells, or so many that they contain a known completion, the wanted ones and a sample."""
        is_open = self._open & (self._left.available > 0)
        if np.count_nonzero(is_open) > _MOST_CELLS:
            taken = np.zeros(len(is_open), np.bool_)
            taken[self._sample] = True
            taken[wanted] = True
            taken[self._known[0].cells()] = True
            is_open &= taken
        return np.flatnonzero(is_open)

    def _solution(self, cells: Rows, wanted: Rows | None = None) -> "_Known | None":
        """Return a completion from these cells: a short one, or one with some of the wanted cells."""
        self.programs += 1
        problem = self._left.problem(cells)
        if wanted is None:
            picks = fewest_rows(problem)
        else:
            picks = most_wanted(problem, np.searchsorted(cells, wanted))
        if picks is None:
            return None
        whole = np.zeros(len(self._open), np.int64)
        whole[cells] = picks
        return _Known(self._left, whole)


class _Cells:
    """What a pick from each cell brings. Cell c, the last, is nobody: no rows, no values.

    `profiles` (c + 1, q) number what a cell brings for each quota; (g, v) `profile_counts` say what a number means.
    """

    def __init__(self, sizes: Whole, counts: csr_array, quotas: Whole) -> None:
        nobody = csr_array((1, counts.shape[1]), dtype=np.int64)
        self.sizes = np.append(sizes, 0)
        self.counts = csr_array(vstack([counts, nobody], format="csr"))
        columns, meanings = [], []
        known = 0
        for quota in np.unique(quotas).tolist():
            part = csr_array(self.counts.multiply(quotas == quota))
            part.eliminate_zeros()
            number, first = _first_of(profiles(part))
            columns.append(number + known)
            meanings.append(part[first])
            known += len(first)
        self.profiles = np.stack(columns, axis=1)
        self.profile_counts = csr_array(vstack(meanings, format="csr"))
        self.marks = np.random.default_rng(0).integers(2**63, size=known, dtype=np.uint64)

    def over(self, limits: Whole) -> Flags:
        """Return (g,) whether a profile brings more of some value than its limit."""
        brought = self.profile_counts
        above = brought.data > limits[brought.indices]
        profile = np.repeat(np.arange(brought.shape[0]), np.diff(brought.indptr))
        return np.bincount(profile, weights=above, minlength=brought.shape[0]) > 0


class _Left:
    """What is left to pick, and must still be picked."""

    def __init__(self, cells: _Cells, available: Whole, need: Whole, room: Whole, rows: int) -> None:
        self.cells = cells
        self.available = available.copy()
        self.need = need.copy()
        self.room = room.copy()
        self.rows = rows
        self._fits = np.ones(len(cells.profile_counts.indptr) - 1, np.bool_)
        self.largest = int(cells.sizes.max())

    def pick(self, cell: int) -> None:
        counts = self.cells.counts
        entries = slice(counts.indptr[cell], counts.indptr[cell + 1])
        values, brought = counts.indices[entries], counts.data[entries]
        self.need[values] = np.maximum(self.need[values] - brought, 0)
        self.room[values] -= brought
        self.rows -= int(self.cells.sizes[cell])
        self.available[cell] -= 1

    def too_much(self, cells: Rows) -> Rows:
        """Return those of these cells of which one pick exceeds a bound by itself; each is named once at least."""
        fits = ~self.cells.over(self.room)
        has_changed = not np.array_equal(fits, self._fits)
        self._fits = fits
        if not has_changed and self.rows >= self.largest:
            return cells[:0]
        fitting = fits[self.cells.profiles[cells]].all(axis=1) & (self.cells.sizes[cells] <= self.rows)
        return cells[~fitting]

    def problem(self, cells: Rows) -> Problem:
        return Problem(
            sizes=self.cells.sizes[cells],
            counts=csr_array(self.cells.counts[cells]),
            available=self.available[cells],
            need=self.need,
            room=self.room,
            left=self.rows,
        )


class _Known:
    """A completion, and for each cell another whose pick it could give up for one from this cell."""

    def __init__(self, left: _Left, picks: Whole) -> None:
        self._left = left
        self._picks = np.append(picks, 1)  # nobody can be given up any time
        self._totals = picks @ left.cells.counts[:-1]
        self._rows = int(picks @ left.cells.sizes[:-1])
        self._given_up = np.full(len(self._picks), -1)
        self._is_sure = np.zeros(len(self._picks), np.bool_)
        self._standing = self._stands()

    def refresh(self) -> None:
        """Take note that what is left has changed; only a new bound that is reached puts exchanges in doubt."""
        before, self._standing = self._standing, self._stands()
        is_new = self._standing & ~before
        if is_new[0].any() or self._spare < self._left.largest:
            self._is_sure[:] = False
        elif is_new[1].any():
            own = self.cells()
            in_doubt = np.zeros(len(self._picks), np.bool_)
            in_doubt[own] = is_new[1, self._left.cells.profiles[own]].any(axis=1)
            self._is_sure[in_doubt[self._given_up]] = False

    def _stands(self) -> Flags:
        """Return (2, g) for each profile: is too much to add, is too much to give up."""
        over = self._left.cells.over
        self._spare = self._left.rows - self._rows
        return np.stack([over(self._left.room - self._totals), over(self._totals - self._left.need)])

    def cells(self) -> Rows:
        return np.flatnonzero(self._picks[:-1])

    def includes(self, cell: int) -> bool:
        return bool(self._picks[cell] > 0)

    def yields_to(self, cell: int) -> bool:
        """Leave a pick from this cell to the selection, giving up what has to be; False where that is impossible."""
        cells = np.array([cell])
        if not self.still_proves(cells)[0] and not self.proves(cells)[0]:
            return False
        other = int(self._given_up[cell])
        if other < len(self._picks) - 1:
            self._drop(other)
        return True

    def shorten(self) -> None:
        """Drop picks that are no longer needed."""
        while True:
            own = self.cells()
            spared = own[~self._standing[1, self._left.cells.profiles[own]].any(axis=1)]
            if not len(spared):
                return
            self._drop(int(spared[0]))
            self.refresh()

    def _drop(self, cell: int) -> None:
        self._picks[cell] -= 1
        if self._picks[cell] == 0:
            self._is_sure[self._given_up == cell] = False
        self._totals = self._totals - self._left.cells.counts[[cell]].toarray()[0]
        self._rows -= int(self._left.cells.sizes[cell])

    def still_proves(self, cells: Rows) -> Flags:
        """Return whether the exchanges that were found for these cells are still possible."""
        unsure = cells[~self._is_sure[cells]]
        unsure = unsure[self._given_up[unsure] >= 0]
        self._is_sure[unsure] = self._may_exchange(unsure, self._given_up[unsure])
        return self._is_sure[cells]

    def proves(self, cells: Rows) -> Flags:
        """Look for exchanges for these cells, and return for which there is one."""
        nobody = len(self._picks) - 1
        self._given_up[cells] = -1
        self._is_sure[cells] = False
        for others in (cells, np.full(len(cells), nobody)):
            self._note(cells, others)
        left = cells[self._given_up[cells] < 0]
        if len(left):
            self._match(left)
        return self._given_up[cells] >= 0

    def _match(self, cells: Rows) -> None:
        """Look among the picks for those that are equal to a cell wherever a bound is reached."""
        described = self._left.cells
        picks = np.flatnonzero(self._picks[:-1])
        picks = picks[np.argsort(described.sizes[picks], kind="stable")]
        needed, of_needed = _patterns(self._standing[1, described.profiles[picks]])
        full, of_full = _patterns(self._standing[0, described.profiles[cells]])
        pairs = [(left, right) for left in range(len(needed)) for right in range(len(full))]
        for left, right in pairs[:_MOST_PATTERNS]:
            same = needed[left] | full[right]
            for_cells = cells[of_full == right]
            for_cells = for_cells[self._given_up[for_cells] < 0]
            from_picks = picks[of_needed == left][::-1]  # the largest first, which gives up most rows
            marks, first = np.unique(self._marks(from_picks, same), return_index=True)
            wanted = self._marks(for_cells, same)
            at = np.minimum(np.searchsorted(marks, wanted), len(marks) - 1)
            hit = marks[at] == wanted
            self._note(for_cells[hit], from_picks[first[at[hit]]])

    def _marks(self, cells: Rows, same: Flags) -> NDArray[np.uint64]:
        described = self._left.cells
        return described.marks[described.profiles[cells][:, same]].sum(axis=1, dtype=np.uint64)

    def _note(self, cells: Rows, others: Rows) -> None:
        may = self._may_exchange(cells, others)
        self._given_up[cells[may]] = others[may]
        self._is_sure[cells[may]] = True

    def _may_exchange(self, cells: Rows, others: Rows) -> Flags:
        """Return whether the completion still is one with one pick more from a cell and one less from another."""
        sizes, number = self._left.cells.sizes, self._left.cells.profiles
        own, given = number[cells], number[others]
        harmful = (own != given) & (self._standing[0, own] | self._standing[1, given])
        fits = sizes[cells] - sizes[others] <= self._spare
        return (self._picks[others] > 0) & fits & ~harmful.any(axis=1)


def _patterns(flags: Flags) -> tuple[Flags, Whole]:
    """Return the distinct rows of (m, q) flags, and which of them each row is."""
    packed = np.packbits(flags, axis=1)
    _, first, of = np.unique(
        packed.view(f"V{packed.shape[1]}").ravel(), return_index=True, return_inverse=True
    )
    return flags[first], of


def _first_of(numbers: Whole) -> tuple[Whole, Rows]:
    """Return numbers without gaps, and where each occurs first."""
    _, first, number = np.unique(numbers, return_index=True, return_inverse=True)
    return number, first


def _conflict(own: Table, problem: Problem) -> QuotaConflict:
    short = least_short(problem)
    column = int(short.argmax())
    return QuotaConflict(
        int(own.quotas[column]),
        int(own.labels[column]),
        f"at_least {own.at_least[column]} cannot be met beside the other bounds: the best {problem.left} to pick"
        f" are {short[column]} short of it, {short.sum()} in all",
    )
