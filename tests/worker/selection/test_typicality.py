import numpy as np
import pytest

from worker.device import Device
from worker.selection.terms import Objects
from worker.selection.typicality import typicality, typicality_of_objects

CPU = Device("cpu", "CPU", 2)


def plain(x, k):
    distances = np.linalg.norm(x[:, None].astype(np.float64) - x[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    near = np.sort(distances, axis=1)[:, :k]
    return np.exp(-near / near.mean()).mean(axis=1)


@pytest.mark.parametrize("k", [1, 2, 5, 19])
def test_typicality__is_the_formula(k):
    x = np.random.default_rng(k).standard_normal((60, 4)).astype(np.float32)

    found = typicality(x, device=CPU, k=k)

    np.testing.assert_allclose(found.values, plain(x, k), rtol=1e-12)
    assert (found.neighbours, found.recall, found.note) == (k, 1.0, "exact")


@pytest.mark.parametrize("k", [2, 3, 11, 20])
def test_typicality__equals_the_other_engine(k):
    mundig = pytest.importorskip("lightly_mundig", reason="lightly-mundig is not installed (extra dev)")
    x = np.random.default_rng(k).standard_normal((500, 16)).astype(np.float32)

    theirs = mundig.Typicality(x).calculate_typicality(k)

    np.testing.assert_allclose(typicality(x, device=CPU, k=k).values, theirs, atol=1e-6)


def test_typicality__the_centre_is_above_an_outlier():
    x = np.random.default_rng(0).standard_normal((200, 8)).astype(np.float32)
    x[0], x[1] = 0, 30

    values = typicality(x, device=CPU).values

    assert values[0] > np.median(values)
    assert values.argmin() == 1
    assert ((values > 0) & (values < 1)).all()


def test_typicality__k_is_lowered_to_the_others():
    x = np.array([[0.0], [1.0], [3.0]], np.float32)

    found = typicality(x, device=CPU, k=20)

    assert found.neighbours == 2
    np.testing.assert_allclose(found.values, plain(x, 2))


@pytest.mark.parametrize("n", [0, 1, 7])
def test_typicality__identical_or_alone_is_1(n):
    assert typicality(np.ones((n, 3), np.float32), device=CPU).values.tolist() == [1.0] * n


def test_typicality__approximate_says_so():
    rng = np.random.default_rng(1)
    x = (
        rng.standard_normal((12, 8))[rng.integers(0, 12, 3000)] + 0.05 * rng.standard_normal((3000, 8))
    ).astype(np.float32)

    found = typicality(x, device=CPU, k=10, approximate_above=1000)

    assert 0.99 <= found.recall <= 1
    assert "inverted file" in found.note
    np.testing.assert_allclose(found.values, typicality(x, device=CPU, k=10).values, atol=0.02)


def test_typicality__refuses_no_neighbours():
    with pytest.raises(ValueError, match="k should be at least 1, got 0"):
        typicality(np.ones((1, 2), np.float32), device=CPU, k=0)


def test_typicality_of_objects__is_the_mean_and_0_without_any():
    x = np.random.default_rng(2).standard_normal((6, 3)).astype(np.float32)
    each = typicality(x, device=CPU, k=3).values

    found = typicality_of_objects(Objects(x, np.array([0, 0, 2, 3, 3, 3])), 5, device=CPU, k=3)

    np.testing.assert_allclose(found.values, [each[:2].mean(), 0, each[2], each[3:].mean(), 0])


def test_typicality_of_objects__ranks_as_the_other_engine():
    mundig = pytest.importorskip("lightly_mundig", reason="lightly-mundig is not installed (extra dev)")
    rng = np.random.default_rng(3)
    x, owners = rng.standard_normal((60, 4)).astype(np.float32), np.sort(rng.integers(0, 20, 60))
    selection = mundig.Selection()
    selection.add_subpart_typicality_strategy(
        embeddings=x,
        sample_to_subpart_indices=[np.flatnonzero(owners == i).tolist() for i in range(20)],
        strength=1.0,
        num_nearest_neighbors=5,
    )

    theirs = selection.run_selection(preselected_indices=[], n_total_samples=20, n_samples_to_select=20)

    values = typicality_of_objects(Objects(x, owners), 20, device=CPU, k=5).values
    assert values[theirs].tolist() == sorted(values.tolist(), reverse=True)
