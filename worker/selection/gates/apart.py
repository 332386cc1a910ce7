"""What is too near to a pick on a line: the frames around it in its video, or windows that share its rows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Spans:
    """(s,) stretches of lines that units take up: `owners` are the units, of which one may have several spans.

    A span reaches from `starts` to `ends` on its line, -1 for none. Of two spans on a line that start one after the
    other, the first does not end later.
    """

    owners: Rows
    lines: Rows
    starts: Values
    ends: Values


class Apart:
    """Finds the units that have a span nearer than `least` to one of a picked unit's on the same line.

    Exactly `least` is far enough. O(log s) for each span of a pick; 48 bytes a span, and as many again while it is made.
    """

    def __init__(self, spans: Spans, least: float) -> None:
        on_line = np.flatnonzero(spans.lines >= 0)
        order = on_line[np.lexsort((spans.starts[on_line], spans.lines[on_line]))]
        self._owners, self._lines = spans.owners[order], spans.lines[order]
        self._starts, self._ends = spans.starts[order], spans.ends[order]
        self._least = least
        self._by_owner = np.argsort(self._owners, kind="stable")
        self._sorted_owners = self._owners[self._by_owner]

    def broken(self) -> Rows:
        """Return the ascending units that have two spans too near to each other, and so are too near to themselves."""
        own = self._by_owner  # of one owner they are in the order of lines and starts
        is_next = (np.diff(self._owners[own]) == 0) & (np.diff(self._lines[own]) == 0)
        is_near = self._starts[own][1:] - self._ends[own][:-1] < self._least
        return np.unique(self._owners[own][1:][is_next & is_near])

    def near(self, unit: int) -> Rows:
        """Return the ascending units that are too near to a unit, with itself if it is on a line."""
        first, last = np.searchsorted(self._sorted_owners, (unit, unit + 1))
        found = [np.empty(0, np.int64)]
        for at in self._by_owner[first:last].tolist():
            low, high = np.searchsorted(self._lines, (self._lines[at], self._lines[at] + 1))
            left = np.searchsorted(self._ends[low:high], self._starts[at] - self._least, side="right")
            right = np.searchsorted(self._starts[low:high], self._ends[at] + self._least, side="left")
            found.append(self._owners[low + left : low + right])
        return np.unique(np.concatenate(found))
