import numpy as np
import pytest

from jobs.errors import JobRejected
from jobs.selection import Entry
from worker.strategies.weights import effect
from worker.strategy import Columns

ENTRY = Entry.model_validate(
    {"input": {"type": "METADATA", "key": "speed"}, "strategy": {"type": "WEIGHTS", "strength": 0.5}}
)


def columns(values):
    return Columns(names=["a", "b", "c"], metadata={"speed": np.array(values)}, seed=0)


def test_effect__is_a_term_of_the_values():
    found = effect(ENTRY, columns([0.0, 2.5, 1.0]), at="x")

    assert found.term.values.tolist() == [0.0, 2.5, 1.0]
    assert found.term.strength == 0.5
    assert found.keep.all()
    assert found.missing_count == 0


def test_effect__a_sample_without_a_value_is_left_out_and_counted():
    found = effect(ENTRY, columns([3.0, np.nan, 1.0]), at="x")

    assert found.keep.tolist() == [True, False, True]
    assert found.term.values.tolist() == [3.0, 0.0, 1.0]
    assert found.missing_count == 1


@pytest.mark.parametrize(("value", "text"), [(-1.5, "-1.5"), (np.inf, "inf")])
def test_effect__refuses_what_a_sum_cannot_rank(value, text):
    with pytest.raises(JobRejected, match=rf"strategies\.1\.input: 'b' has {text}; weights should be"):
        effect(ENTRY, columns([1.0, value, 1.0]), at="strategies.1")
