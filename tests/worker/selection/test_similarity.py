import numpy as np
import pytest

from worker.device import Device
from worker.selection.similarity import similarity, similarity_of_objects
from worker.selection.terms import Objects

CPU = Device("cpu", "CPU", 2)


def test_similarity__is_the_formula():
    rng = np.random.default_rng(0)
    x, queries = (
        rng.standard_normal((50, 4)).astype(np.float32),
        rng.standard_normal((3, 4)).astype(np.float32),
    )

    values = similarity(x, queries, device=CPU)

    distances = np.linalg.norm(x[:, None].astype(np.float64) - queries[None], axis=2).min(axis=1)
    np.testing.assert_allclose(values, np.exp(-distances / distances.mean()), rtol=1e-12)


@pytest.mark.parametrize("q", [1, 7])
def test_similarity__equals_the_other_engine(q):
    mundig = pytest.importorskip("lightly_mundig", reason="lightly-mundig is not installed (extra dev)")
    rng = np.random.default_rng(q)
    x, queries = (
        rng.standard_normal((300, 8)).astype(np.float32),
        rng.standard_normal((q, 8)).astype(np.float32),
    )

    theirs = mundig.Similarity(x).calculate_similarity(queries)

    np.testing.assert_allclose(similarity(x, queries, device=CPU), theirs, atol=1e-6)


def test_similarity__a_query_itself_is_1_and_the_farthest_is_least():
    x = np.array([[0.0], [1.0], [4.0]], np.float32)

    values = similarity(x, x[:1], device=CPU)

    assert values[0] == 1
    assert values.argmin() == 2


@pytest.mark.parametrize("n", [0, 1, 5])
def test_similarity__no_distance_at_all_is_1(n):
    assert (
        similarity(np.ones((n, 2), np.float32), np.ones((1, 2), np.float32), device=CPU).tolist() == [1.0] * n
    )


def test_similarity__refuses_no_query():
    with pytest.raises(ValueError, match="at least 1 is needed to be similar to, got 0"):
        similarity(np.ones((2, 2), np.float32), np.empty((0, 2), np.float32), device=CPU)


def test_similarity_of_objects__is_the_largest_and_0_without_any():
    x = np.array([[0.0], [1.0], [4.0], [2.0]], np.float32)
    each = similarity(x, x[:1], device=CPU)

    values = similarity_of_objects(Objects(x, np.array([1, 2, 2, 3])), 5, x[:1], device=CPU)

    assert values.tolist() == [0, each[0], max(each[1], each[2]), each[3], 0]


def test_similarity_of_objects__ranks_as_the_other_engine():
    mundig = pytest.importorskip("lightly_mundig", reason="lightly-mundig is not installed (extra dev)")
    rng = np.random.default_rng(3)
    x, owners = rng.standard_normal((60, 4)).astype(np.float32), np.sort(rng.integers(0, 20, 60))
    queries = rng.standard_normal((2, 4)).astype(np.float32)
    selection = mundig.Selection()
    selection.add_subpart_similarity_strategy(
        key_embeddings=x,
        query_embeddings=queries,
        sample_to_subpart_indices=[np.flatnonzero(owners == i).tolist() for i in range(20)],
        strength=1.0,
    )

    theirs = selection.run_selection(preselected_indices=[], n_total_samples=20, n_samples_to_select=20)

    values = similarity_of_objects(Objects(x, owners), 20, queries, device=CPU)
    assert values[theirs].tolist() == sorted(values.tolist(), reverse=True)
