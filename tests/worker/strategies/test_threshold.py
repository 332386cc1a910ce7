import numpy as np
import pytest

from jobs.selection import Entry
from worker.strategies.threshold import effect
from worker.strategy import Columns


def entry(operation, threshold=2.0, given=None):
    return Entry.model_validate(
        {
            "input": given or {"type": "METADATA", "key": "speed"},
            "strategy": {"type": "THRESHOLD", "threshold": threshold, "operation": operation},
        }
    )


COLUMNS = Columns(names=["a", "b", "c", "d"], metadata={"speed": np.array([1.0, 2.0, 3.0, np.nan])}, seed=0)


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
    found = effect(entry(operation), COLUMNS, at="x")

    assert found.keep.tolist() == kept
    assert found.missing_count == 1
    assert found.term is None


def test_effect__random_numbers_keep_their_share():
    many = Columns(names=[str(number) for number in range(2000)], metadata={}, seed=1)

    found = effect(entry("SMALLER", 0.3, {"type": "RANDOM"}), many, at="x")

    assert 540 < found.keep.sum() < 660
    assert found.missing_count == 0


def test_effect__is_for_thresholds():
    other = Entry.model_validate({"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}})

    with pytest.raises(TypeError, match="expected a THRESHOLD"):
        effect(other, COLUMNS, at="x")
