import math

import numpy as np
import pytest

from jobs.errors import JobRejected
from tests.worker.pools import entry, pool
from worker.strategies.weights import effect

SPEED = {"type": "METADATA", "key": "speed"}
ENTRY = entry(SPEED, {"type": "WEIGHTS", "strength": 0.5})


def columns(values, **more):
    return pool(len(values), numbers={"speed": values}, **more)


def test_effect__is_a_term_of_the_values():
    found = effect(ENTRY, columns([0.0, 2.5, 1.0]), at="x")

    assert found.term.values.tolist() == [0.0, 2.5, 1.0]
    assert (found.term.strength, found.term.stop_at_sum, found.term.target) == (0.5, None, None)
    assert found.keep.all()
    assert found.missing_count == 0
    assert found.warnings == ()


def test_effect__a_sample_without_a_value_is_left_out_and_counted():
    found = effect(ENTRY, columns([3.0, np.nan, 1.0]), at="x")

    assert found.keep.tolist() == [True, False, True]
    assert found.term.values.tolist() == [3.0, 0.0, 1.0]
    assert found.missing_count == 1


@pytest.mark.parametrize(("value", "text"), [(-1.5, "-1.5"), (np.inf, "inf")])
def test_effect__refuses_what_a_sum_cannot_rank(value, text):
    with pytest.raises(JobRejected, match=rf"strategies\.1\.input: 'b' has {text}; weights should be"):
        effect(ENTRY, columns([1.0, value, 1.0]), at="strategies.1")


def test_effect__what_a_threshold_left_out_may_hold_anything():
    found = effect(ENTRY, columns([1.0, -5.0, np.nan], passed=[True, False, False]), at="x")

    assert found.term.values.tolist() == [1.0, 0.0, 0.0]
    assert found.missing_count == 0


def test_effect__all_zero_ranks_nothing_and_says_so():
    assert effect(ENTRY, columns([0.0, 0.0]), at="x").warnings == (
        "x: every weight is 0, so it ranks nothing.",
    )
    assert effect(ENTRY, columns([0.0, 1.0], passed=[True, False]), at="x").warnings != ()
    assert effect(ENTRY, columns([0.0], passed=[False]), at="x").warnings == ()


@pytest.mark.parametrize(
    ("wanted", "target", "words"),
    [
        ({"min_sum": 3}, (3.0, math.inf), "3 at least"),
        ({"max_sum": 8}, (0.0, 8.0), "8 at most"),
        ({"min_sum": 3, "max_sum": 8}, (3.0, 8.0), "3 at least and 8 at most"),
    ],
)
def test_effect__target_range(wanted, target, words):
    found = effect(entry(SPEED, {"type": "WEIGHTS", "target_range": wanted}), columns([1.0, 2.0]), at="x")

    assert found.term.target == target
    assert found.detail == f"steers the sum to {words}"


def test_effect__stops_at_a_sum():
    asked = entry(SPEED, {"type": "WEIGHTS", "stopping_condition_max_sum": 4.5})
    found = effect(asked, columns([1.0, 2.0]), at="x")

    assert found.term.stop_at_sum == 4.5
    assert found.detail == "stops when the sum reaches 4.5"
