import numpy as np
import pytest

from worker.selection.exact import squared_between, squared_distances


@pytest.mark.parametrize("d", [1, 7, 300_000])
def test_squared_distances__sums_squared_differences_in_float64(d):
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((5, d)).astype(np.float32) for _ in range(2))
    expected = ((left.astype(np.float64) - right) ** 2).sum(axis=1)

    np.testing.assert_allclose(squared_distances(left, right), expected, rtol=1e-12)
    one = ((left.astype(np.float64) - right[:1]) ** 2).sum(axis=1)
    np.testing.assert_allclose(squared_distances(left, right[:1]), one, rtol=1e-12)


def test_squared_distances__does_not_cancel_far_from_the_origin():
    x = np.array([[2.0**20, 0], [2.0**20 + 1, 0]], np.float32)

    assert squared_distances(x[:1], x[1:]).tolist() == [1.0]


def test_squared_between__gives_a_pair_the_same_bits_wherever_it_is_computed():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((5000, 100)).astype(np.float32)
    left, right = rng.integers(0, 5000, (2, 6000))

    found = squared_between(x, left, x, right)

    alone = [squared_distances(x[a : a + 1], x[b : b + 1])[0] for a, b in zip(left, right, strict=True)]
    assert found.tobytes() == np.array(alone).tobytes()
    assert squared_between(x, right, x, left).tobytes() == found.tobytes()
