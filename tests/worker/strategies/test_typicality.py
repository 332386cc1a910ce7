import numpy as np
import pytest

from tests.worker.pools import entry, pool
from worker.strategies.typicality import effect

EMBEDDINGS = {"type": "EMBEDDINGS"}


def typical(samples, **strategy):
    return effect(entry(EMBEDDINGS, {"type": "TYPICALITY", **strategy}), samples, at="x")


def test_effect__is_a_term_of_how_near_the_neighbours_are():
    vectors = pool(9).embeddings.astype(np.float64)
    distances = np.sort(np.linalg.norm(vectors[:, None] - vectors[None], axis=2), axis=1)[:, 1:4]
    found = typical(pool(9), num_nearest_neighbors=3, strength=0.5)

    assert found.term.strength == 0.5
    assert found.term.stop_below is None
    assert found.term.is_typicality
    np.testing.assert_allclose(
        found.term.values, np.exp(-distances / distances.mean()).mean(axis=1), rtol=1e-6
    )
    assert found.detail.startswith("3 neighbours")


def test_effect__says_how_many_neighbours_there_were():
    assert typical(pool(5)).detail.startswith("4 neighbours")


def test_effect__stops_below():
    found = typical(pool(9), stopping_condition_minimum_typicality=0.25)

    assert found.term.stop_below == 0.25
    assert found.detail.endswith("stops below 0.25")


@pytest.mark.parametrize("passed", [[True, False, False], [False] * 3])
def test_effect__one_or_none_left_is_no_error(passed):
    found = typical(pool(3, passed=passed))

    assert found.term.values.tolist() == [1.0 if kept else 0.0 for kept in passed]


def test_effect__is_for_typicality():
    with pytest.raises(TypeError, match="expected a TYPICALITY"):
        effect(entry({"type": "RANDOM"}, {"type": "WEIGHTS"}), pool(2), at="x")
