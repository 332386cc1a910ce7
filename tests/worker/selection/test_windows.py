import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.selection.rules import Windows
from worker.selection.windows import most_apart, open_windows, rows_inside, window_starts

lines_of_videos = st.lists(st.tuples(st.integers(-1, 3), st.integers(1, 12)), max_size=6).map(
    lambda runs: np.array([line for line, count in runs for _ in range(count)], np.int64)
)


@settings(max_examples=100, deadline=None)
@given(lines_of_videos, st.integers(1, 5), st.data())
def test_window_starts__are_those_that_a_walk_along_each_run_finds(lines, length, data):
    stride = data.draw(st.integers(1, length))
    expected, row = [], 0
    while row < len(lines):
        end = row
        while end < len(lines) and lines[end] == lines[row]:
            end += 1
        if lines[row] >= 0:
            expected += list(range(row, end - length + 1, stride))
        row = end

    assert window_starts(lines, length, stride=stride).tolist() == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=5, max_size=30), st.integers(1, 5), st.data())
def test_open_windows__have_candidates_only(candidates, length, data):
    stride = data.draw(st.integers(1, length))
    flags = np.array(candidates)
    windows = Windows(window_starts(np.zeros(len(flags), np.int64), length, stride=stride), length, "max")

    found = open_windows(windows, flags)

    assert (found.length, found.pooling) == (length, "max")
    assert found.starts.tolist() == [
        start for start in windows.starts.tolist() if flags[start : start + length].all()
    ]
    inside = {row for start in found.starts.tolist() for row in range(start, start + length)}
    assert set(np.flatnonzero(rows_inside(found, len(flags)))) == inside


def test_most_apart__is_as_many_as_fit():
    windows = Windows(np.array([0, 2, 3, 5, 8, 20]), 3)

    assert most_apart(windows).tolist() == [0, 3, 8, 20]
    assert most_apart(Windows(np.empty(0, np.int64), 3)).tolist() == []
