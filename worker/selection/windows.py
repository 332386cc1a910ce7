"""Sequences of rows: where they may lie, and which of them can be picked."""

import numpy as np
from numpy.typing import NDArray

from worker.selection.rules import Windows

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]


def window_starts(lines: NDArray[np.int64], length: int, *, stride: int) -> Rows:
    """Return the ascending first rows of all windows.

    A window lies within a run of rows of one line (n,), such as the frames of a video; rows of line -1 are in none. The
    first window of a run starts with it, each further one `stride` rows later; what is left at the end is in none.
    """
    borders = np.flatnonzero(np.diff(lines)) + 1
    first = np.concatenate([[0], borders]) if len(lines) else borders
    last = np.append(borders, len(lines)) if len(lines) else borders
    counts = np.where(lines[first] >= 0, (last - first - length) // stride + 1, 0).clip(min=0)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(first, counts) + within * stride


def open_windows(windows: Windows, candidates: Flags) -> Windows:
    """Return the windows whose rows are all candidates, of (n,) rows."""
    before = np.concatenate([[0], np.cumsum(candidates)])
    starts = windows.starts
    is_open = before[starts + windows.length] - before[starts] == windows.length
    return Windows(starts[is_open], windows.length, windows.pooling)


def rows_inside(windows: Windows, rows: int) -> Flags:
    """Return (rows,) which rows are in a window."""
    changes = np.zeros(rows + 1, np.int64)
    changes[windows.starts] += 1
    np.subtract.at(changes, windows.starts + windows.length, 1)
    inside: Flags = np.cumsum(changes)[:rows] > 0
    return inside


def most_apart(windows: Windows) -> Rows:
    """Return the starts of as many windows as there can be without a row in common: each time the one that ends first."""
    taken: list[int] = []
    free = 0
    while True:
        at = int(np.searchsorted(windows.starts, free))
        if at == len(windows.starts):
            return np.array(taken, np.int64)
        taken.append(int(windows.starts[at]))
        free = taken[-1] + windows.length
