import numpy as np
import pytest

from jobs.errors import JobRejected
from jobs.selection import Entry
from worker.random_keys import random_keys, uniforms
from worker.strategy import Columns, effect_of

COLUMNS = Columns(names=["a", "b", "c"], metadata={"lightly.sharpness": np.array([1.0, 2.0, np.nan])}, seed=5)
DIVERSITY = {"type": "DIVERSITY"}


def entry(given, strategy):
    return Entry.model_validate({"input": given, "strategy": strategy})


def test_columns_of__metadata_by_its_full_key():
    asked = entry({"type": "METADATA", "key": "lightly.sharpness"}, {"type": "WEIGHTS"})

    np.testing.assert_array_equal(COLUMNS.of(asked, at="x"), [1.0, 2.0, np.nan])


def test_columns_of__random_numbers_from_the_entrys_seed_else_the_jobs():
    own = entry({"type": "RANDOM", "random_seed": 9}, {"type": "WEIGHTS"})
    jobs_ = entry({"type": "RANDOM"}, {"type": "WEIGHTS"})

    assert COLUMNS.of(own, at="x").tolist() == uniforms(random_keys(9, COLUMNS.names)).tolist()
    assert COLUMNS.of(jobs_, at="x").tolist() == uniforms(random_keys(5, COLUMNS.names)).tolist()


def test_columns_of__an_unknown_key_is_refused_with_the_choices():
    asked = entry({"type": "METADATA", "key": "lightly.sharpnes"}, {"type": "WEIGHTS"})

    with pytest.raises(
        JobRejected,
        match=r"selection\.strategies\.0\.input\.key: no numeric metadata 'lightly\.sharpnes'; choose from"
        r" lightly\.sharpness; did you mean",
    ):
        COLUMNS.of(asked, at="selection.strategies.0")


def test_columns_of__embeddings_are_no_values():
    with pytest.raises(JobRejected, match=r"x\.input\.type: EMBEDDINGS has no values"):
        COLUMNS.of(entry({"type": "EMBEDDINGS"}, DIVERSITY), at="x")


def test_effect_of__a_strategy_without_a_file_is_refused():
    asked = entry({"type": "METADATA", "key": "weather"}, {"type": "BALANCE", "distribution": "UNIFORM"})

    with pytest.raises(
        JobRejected,
        match=r"x\.strategy\.type: BALANCE is not available; choose from DIVERSITY, THRESHOLD, WEIGHTS",
    ):
        effect_of(asked, COLUMNS, at="x")


def test_effect_of__finds_the_file():
    assert effect_of(entry({"type": "EMBEDDINGS"}, DIVERSITY), COLUMNS, at="x").term is not None
