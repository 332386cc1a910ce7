import numpy as np
import pytest

from jobs.errors import JobRejected
from tests.worker.pools import entry, pool
from worker import strategy
from worker.random_keys import random_keys, uniforms
from worker.strategy import effect_of

SAMPLES = pool(
    3, numbers={"lightly.sharpness": [1.0, 2.0, np.nan]}, words={"camera": ["a", "b", "a"], "drive": ["1", "2", None]}, seed=5
)  # fmt: skip
EMBEDDINGS = {"type": "EMBEDDINGS"}
DIVERSITY = {"type": "DIVERSITY"}
WEIGHTS = {"type": "WEIGHTS"}


def metadata(key):
    return {"type": "METADATA", "key": key}


def test_values__metadata_by_its_full_key():
    asked = entry(metadata("lightly.sharpness"), WEIGHTS)

    np.testing.assert_array_equal(SAMPLES.values(asked, at="x"), [1.0, 2.0, np.nan])


def test_values__words_that_are_all_numbers():
    np.testing.assert_array_equal(
        SAMPLES.values(entry(metadata("drive"), WEIGHTS), at="x"), [1.0, 2.0, np.nan]
    )


def test_values__random_numbers_from_the_entrys_seed_else_the_jobs():
    own = entry({"type": "RANDOM", "random_seed": 9}, WEIGHTS)
    jobs_ = entry({"type": "RANDOM"}, WEIGHTS)

    assert SAMPLES.values(own, at="x").tolist() == uniforms(random_keys(9, SAMPLES.names)).tolist()
    assert SAMPLES.values(jobs_, at="x").tolist() == uniforms(random_keys(5, SAMPLES.names)).tolist()


@pytest.mark.parametrize(
    ("given", "asked", "says"),
    [
        (
            metadata("lightly.sharpnes"),
            WEIGHTS,
            r"x\.input\.key: no numeric metadata 'lightly\.sharpnes'; choose from lightly\.sharpness; did you mean",
        ),
        (
            metadata("camera"),
            WEIGHTS,
            r"x\.input\.key: WEIGHTS needs numbers; 'camera' is a category but has for",
        ),
        (EMBEDDINGS, DIVERSITY, r"x\.input\.type: EMBEDDINGS has no values"),
    ],
)
def test_values__refusals(given, asked, says):
    with pytest.raises(JobRejected, match=says):
        SAMPLES.values(entry(given, asked), at="x")


def test_category__by_its_key_or_refused():
    assert SAMPLES.category("camera", at="x").values == ("a", "b")
    with pytest.raises(
        JobRejected, match="x: no category 'camra'; choose from camera, drive; did you mean 'camera'"
    ):
        SAMPLES.category("camra", at="x")


def test_spread__gives_numbers_to_what_passed_the_thresholds():
    some = pool(4, passed=[False, True, False, True])

    np.testing.assert_array_equal(some.counted_embeddings, some.embeddings[[1, 3]])
    assert some.spread(np.array([5.0, 6.0])).tolist() == [0, 5, 0, 6]
    assert pool(2).counted_embeddings.shape == (2, 4)
    assert pool(2, passed=[False, False]).spread(np.empty(0)).tolist() == [0, 0]


def test_effect_of__a_strategy_without_a_file_is_refused(monkeypatch):
    monkeypatch.setattr(strategy, "strategy_names", lambda: ["diversity", "weights"])
    asked = entry(metadata("camera"), {"type": "BALANCE", "distribution": "UNIFORM"})

    with pytest.raises(
        JobRejected, match=r"x\.strategy\.type: BALANCE is not available; choose from DIVERSITY, WEIGHTS"
    ):
        effect_of(asked, SAMPLES, at="x")


def test_effect_of__finds_the_file():
    assert effect_of(entry(EMBEDDINGS, DIVERSITY), SAMPLES, at="x").term is not None
