import pytest

from jobs.errors import JobRejected
from tests.worker.pools import entry, pool
from worker.strategies.threshold import effect

SPEED = {"type": "METADATA", "key": "speed"}


def asked(operation, threshold=2.0, given=SPEED):
    return entry(given, {"type": "THRESHOLD", "threshold": threshold, "operation": operation})


@pytest.mark.parametrize(
    ("operation", "kept"),
    [
        ("SMALLER", [True, False, False, False]),
        ("SMALLER_EQUAL", [True, True, False, False]),
        ("BIGGER", [False, False, True, False]),
        ("BIGGER_EQUAL", [False, True, True, False]),
    ],
)
def test_effect__compares_and_no_value_never_passes(operation, kept):
    found = effect(asked(operation), pool(4, numbers={"speed": [1.0, 2.0, 3.0, float("nan")]}), at="x")

    assert found.keep.tolist() == kept
    assert found.missing_count == 1
    assert found.term is None
    assert found.detail == f"{operation} 2"


def test_effect__random_numbers_keep_their_share():
    found = effect(asked("SMALLER", 0.3, {"type": "RANDOM"}), pool(2000, seed=1), at="x")

    assert 540 < found.keep.sum() < 660
    assert found.missing_count == 0


def test_effect__numbers_from_names():
    found = effect(asked("BIGGER"), pool(3, words={"speed": ["2", "10", None]}), at="x")

    assert found.keep.tolist() == [False, True, False]
    assert found.missing_count == 1


def test_effect__words_are_refused():
    with pytest.raises(
        JobRejected, match=r"x\.input\.key: THRESHOLD needs numbers; 'speed' is a category but has"
    ):
        effect(asked("BIGGER"), pool(2, words={"speed": ["2", "fast"]}), at="x")


def test_effect__is_for_thresholds():
    with pytest.raises(TypeError, match="expected a THRESHOLD"):
        effect(entry({"type": "EMBEDDINGS"}, {"type": "DIVERSITY"}), pool(2), at="x")
