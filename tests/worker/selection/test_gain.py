import numpy as np
import pytest

from worker.selection.gain import gain_of
from worker.selection.pool import Pool
from worker.selection.terms import Balance, Diversity, Objects, Weights


def started(term, x=((0.0,), (3.0,), (10.0,), (4.0,)), *, n=4, preselected=()):
    x = np.array(x, np.float32)
    return gain_of(term, Pool(x, np.ones(len(x), bool)), n=n, preselected=np.array(preselected, np.int64))


def test_gain_of__distance_weight_and_nothing_of_what_is_selected():
    diversity, weights = started(Diversity()), started(Weights(np.array([1.0, 2, 4, 8])), preselected=[0, 3])
    assert diversity.values() is None
    diversity.add(0)
    diversity.add(2)

    assert diversity.values().tolist() == [0, 3, 0, 4]
    assert weights.values().tolist() == [1, 2, 4, 8]


def test_gain_of__objects_are_as_far_as_the_root_of_their_mean_square():
    objects = Objects(np.array([[0], [1], [7], [5]], np.float32), np.array([0, 1, 1, 3]))
    gain = started(Diversity(objects=objects))
    assert gain.values().tolist() == [1, 1, 0, 1]

    gain.add(0)

    assert gain.values().tolist() == [0, 5, 0, 5]


def test_gain_of__balance_is_what_is_asked_for_over_what_there_is():
    shares = np.array([[1.0, 0], [0, 1], [0.5, 0.5], [0, 0]])
    gain = started(Balance(shares, np.array([0.75, 0.25])), preselected=[0, 0, 0])

    # One more of class 0 makes it 4 of 4; one of class 1 makes that 1 of 4.
    assert gain.values() == pytest.approx([0.75, 1.0, 0.5 * 0.75 / 0.875 + 0.5 * 0.25 / 0.125, 1.0])


def test_gain_of__balance_keeps_its_contrast():
    shares = np.eye(2)
    few, many = (started(Balance(shares, np.full(2, 0.5)), x=[[0.0], [1.0]]) for _ in range(2))
    for gain, times in ((few, 10), (many, 1000)):
        for _ in range(times):
            for row in (0, 0, 0, 1):
                gain.add(row)

    for gain in (few, many):
        assert gain.values()[1] / gain.values()[0] == pytest.approx(3, rel=0.1)


def test_gain_of__target_counts_in_picks():
    gain = started(Weights(np.array([1.0, 2, 4, 8]), target=(8.0, 12.0)))

    # After one pick the line is from 2 to 3, and a pick is worth 10 / 4.
    assert gain.values() == pytest.approx([1 / 1.4, 1, 1 / 1.4, 1 / 3])
