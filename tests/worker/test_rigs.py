from itertools import groupby

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.rigs import SLACK_S, rigs

TIMES = st.integers(0, 40).map(lambda tick: tick / 8)


@st.composite
def samples(draw):
    """Return places, cameras, times and a tolerance; no camera has two samples of a place at one time."""
    drawn = draw(
        st.lists(
            st.tuples(st.integers(-1, 1), st.integers(-1, 3), TIMES | st.just(np.nan)),
            max_size=40,
            unique_by=lambda one: (one[0], one[1], str(one[2])),
        )
    )
    places, cameras, seconds = ([one[column] for one in drawn] for column in range(3))
    tolerance = draw(st.sampled_from([0.0, 0.125, 0.3, 1.0]))
    return np.array(places, np.int64), np.array(cameras, np.int64), np.array(seconds, np.float64), tolerance


def members(found):
    return [np.flatnonzero(found == rig).tolist() for rig in range(found.max(initial=-1) + 1)]


@settings(max_examples=200, deadline=None)
@given(samples())
def test_rigs__laws(case):
    places, cameras, seconds, tolerance = case
    found = rigs(places, cameras, seconds, tolerance=tolerance)
    known = (places >= 0) & (cameras >= 0) & ~np.isnan(seconds)
    assert ((found >= 0) == known).all()
    for rows in members(found):
        assert rows  # numbers have no gaps
        assert len({cameras[row] for row in rows}) == len(rows)
        assert len({places[row] for row in rows}) == 1
        assert np.ptp(seconds[rows]) <= tolerance + SLACK_S


@settings(max_examples=100, deadline=None)
@given(samples(), st.randoms(use_true_random=False))
def test_rigs__do_not_depend_on_the_order_of_rows(case, random):
    places, cameras, seconds, tolerance = case
    order = np.array(random.sample(range(len(places)), len(places)), np.int64)
    found = rigs(places, cameras, seconds, tolerance=tolerance)
    again = rigs(places[order], cameras[order], seconds[order], tolerance=tolerance)
    moved = sorted(sorted(order[rows].tolist()) for rows in members(again))
    assert moved == sorted(members(found))


@settings(max_examples=100, deadline=None)
@given(samples())
def test_rigs__are_what_the_rule_says_word_by_word(case):
    places, cameras, seconds, tolerance = case
    rows = [row for row in range(len(places)) if places[row] >= 0 <= cameras[row] and seconds[row] >= 0]
    expected = []
    for _, of_place in groupby(sorted(rows, key=lambda row: places[row]), key=lambda row: places[row]):
        own = []
        for row in sorted(of_place, key=lambda row: (seconds[row], cameras[row])):
            fits = (
                rig
                for rig in own
                if cameras[row] not in cameras[rig] and seconds[row] - seconds[rig[0]] <= tolerance
            )
            rig = next(fits, None)
            if rig is None:
                own.append([row])
            else:
                rig.append(row)
        expected += [sorted(rig) for rig in own]
    assert sorted(members(rigs(places, cameras, seconds, tolerance=tolerance))) == sorted(expected)


def test_rigs__three_cameras_at_30_frames_a_second_with_a_lost_frame():
    frame = np.arange(5)
    seconds = np.concatenate([frame / 30, frame / 30 + 0.004, np.delete(frame, 2) / 30 + 0.009])
    cameras = np.repeat([0, 1, 2], [5, 5, 4])
    found = rigs(np.zeros(14, np.int64), cameras, seconds, tolerance=0.015)
    assert members(found) == [[0, 5, 10], [1, 6, 11], [2, 7], [3, 8, 12], [4, 9, 13]]


def test_rigs__a_difference_of_exactly_the_tolerance_is_one():
    found = rigs(np.zeros(2, np.int64), np.arange(2), np.array([0.1, 0.1 + 0.2]), tolerance=0.2)
    assert members(found) == [[0, 1]]
