import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.selection.lookahead.bounds import upper_bounds


def true_squares(x, candidates, centres):
    x = x.astype(np.float64)
    return ((x[candidates][:, None] - x[centres][None]) ** 2).sum(axis=2)


def scattered(seed, n, d, offset, spread):
    rng = np.random.default_rng(seed)
    sizes = 10.0 ** rng.uniform(-spread, spread, (n, 1))
    return (rng.standard_normal((n, d)) * sizes + offset).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(2, 60),
    d=st.integers(1, 300),
    offset=st.sampled_from([0.0, 1.0, 1e4, 1e16]),
    spread=st.sampled_from([0, 3, 15]),
)
def test_upper_bounds__enclose_the_true_values(seed, n, d, offset, spread):
    x = scattered(seed, n, d, offset, spread)
    candidates = np.arange(n)
    centres = np.unique(np.random.default_rng(seed).integers(0, n, 5))
    true = true_squares(x, candidates, centres).min(axis=1)
    with upper_bounds(x, candidates, device="cpu", tile_bytes=4000) as bounds:
        bounds.add(centres)

        for count in range(1, n):
            inside, ceiling = bounds.top(count)
            assert (true[np.setdiff1d(candidates, inside)] <= ceiling).all()
        np.testing.assert_allclose(bounds.exact(candidates), true, rtol=1e-12)
        assert (true <= bounds.upper()).all()
        np.testing.assert_array_equal(bounds.at(candidates), bounds.upper())
        lower = bounds.lower_between(candidates).astype(np.float64) / bounds.scale**2
        assert (lower <= true_squares(x, candidates, candidates)).all()


def test_top__gives_positions_in_order_and_a_bound_for_the_rest():
    x = np.array([[0.0], [3.0], [1.0], [2.0]], np.float32)
    with upper_bounds(x, np.array([1, 2, 3]), device="cpu", tile_bytes=1000) as bounds:
        bounds.add(np.array([0]))

        positions, ceiling = bounds.top(2)

    assert positions.tolist() == [0, 2]
    assert ceiling == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize("portions", [[1] * 40, [3, 700, 1, 600], [600, 5, 520]])
def test_top__is_right_although_most_candidates_have_not_seen_the_latest_centres(portions):
    x = scattered(1, 1500, 9, offset=1.0, spread=1)
    candidates = np.arange(0, 1500, 2)
    centres = np.random.default_rng(1).permutation(1500)
    with upper_bounds(x, candidates, device="cpu", tile_bytes=2**18) as bounds:
        used = 0
        for portion in portions:
            bounds.add(centres[used : used + portion])
            used += portion
            true = true_squares(x, candidates, centres[:used]).min(axis=1)

            inside, ceiling = bounds.top(20)

            assert len(inside) == 20
            assert (np.delete(true, inside) <= ceiling).all()
            assert ceiling <= np.sort(true)[-21] * (1 + 1e-3)
            np.testing.assert_allclose(bounds.exact(inside), true[inside], rtol=1e-12)
        assert (bounds.at(np.arange(750)) >= true).all()
        assert bounds.multiplied < 750 * used


def test_upper__before_the_first_centre_and_with_candidates_excluded():
    x = np.array([[0.0], [3.0], [1.0]], np.float32)
    with upper_bounds(x, np.arange(3), device="cpu", tile_bytes=1000) as bounds:
        assert bounds.upper().tolist() == [np.inf] * 3
        bounds.exclude(np.array([1]))
        bounds.add(np.array([0]))

        np.testing.assert_allclose(bounds.upper(), [0, -np.inf, 1], atol=1e-4)
        bounds.reopen(np.array([1]))
        np.testing.assert_allclose(bounds.upper(), [0, 9, 1], rtol=1e-4, atol=1e-4)


def test_upper__does_not_overflow_where_float32_would():
    x = np.array([[-1e18] * 600, [1e18] * 600], np.float32)
    with upper_bounds(x, np.arange(2), device="cpu", tile_bytes=1000) as bounds:
        bounds.add(np.array([0]))

        assert bounds.at(np.array([1]))[0] == np.inf
        assert bounds.upper()[1] == pytest.approx(2400e36, rel=1e-3)
        assert bounds.exact(np.array([1]))[0] == pytest.approx(2400e36, rel=1e-6)


def test_exclude__takes_candidates_out_of_the_top():
    x = np.array([[0.0], [3.0], [1.0], [2.0]], np.float32)
    with upper_bounds(x, np.arange(4), device="cpu", tile_bytes=1000) as bounds:
        bounds.add(np.array([0]))
        bounds.exclude(np.array([1]))

        assert bounds.top(1)[0].tolist() == [3]
        assert bounds.top(4)[0].tolist() == [0, 2, 3]


def test_upper_bounds__put_torchs_settings_back_after_an_error():
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()

    def fail():
        with upper_bounds(np.ones((3, 2), np.float32), np.arange(3), device="cpu", tile_bytes=1) as bounds:
            bounds.add(np.array([7]))

    with pytest.raises(IndexError):
        fail()

    assert (torch.get_num_threads(), torch.get_float32_matmul_precision()) == before
