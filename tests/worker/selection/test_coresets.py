"""Selection by shards: the bounds hold, whatever the data and the cut."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.device import Device
from worker.selection.coresets import join, select_by_shards
from worker.selection.farthest import farthest_first

CPU = Device("cpu", "CPU", 1)
KINDS = {
    "gaussian": lambda rng, n: rng.standard_normal((n, 4)),
    "clustered": lambda rng, n: (
        rng.standard_normal((6, 4))[rng.integers(0, 6, n)] + 0.01 * rng.standard_normal((n, 4))
    ),
    "grid": lambda rng, n: rng.integers(0, 3, (n, 3)),
    "twins": lambda rng, n: rng.standard_normal((max(1, n // 3), 4))[rng.integers(0, max(1, n // 3), n)],
    "one place": lambda _, n: np.full((n, 2), 0.5),
}


def cut(rng, n, count):
    """Return `count` shards of n rows, of very different sizes, each with at least one row."""
    owners = np.concatenate([np.arange(count), rng.geometric(0.4, n - count).clip(1, count) - 1])
    owners = rng.permutation(owners)
    return [np.flatnonzero(owners == shard) for shard in range(count)]


def true_radius(x, rows):
    x = x.astype(np.float64)
    return np.sqrt(((x[:, None] - x[rows][None]) ** 2).sum(axis=2).min(axis=1).max())


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    kind=st.sampled_from(sorted(KINDS)),
    n=st.integers(8, 120),
    count=st.integers(1, 8),
    k=st.integers(1, 20),
)
def test_select_by_shards__bounds_hold(seed: int, kind: str, n: int, count: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    x = KINDS[kind](rng, n).astype(np.float32)
    shards = cut(rng, n, count)
    found = select_by_shards(x, shards, k, device=CPU)
    assert len(set(found.rows.tolist())) == len(found.rows) == min(k, n)
    true, exact = true_radius(x, found.rows), farthest_first(x, k).radius
    slack = 1e-9 * (1 + true)
    assert true <= found.bound + slack
    assert found.lowest <= min(true, exact) + slack
    assert found.bound <= 4 * exact + slack  # at most 4 times the best, which exact cannot beat
    assert found.bound <= 8 * found.lowest + slack or found.bound == 0
    shuffled = select_by_shards(x, [shards[at] for at in rng.permutation(count)], k, device=CPU)
    assert shuffled.rows.tolist() == found.rows.tolist()
    assert (shuffled.bound, shuffled.lowest) == (found.bound, found.lowest)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_select_by_shards__one_shard_is_exact(kind: str) -> None:
    x = KINDS[kind](np.random.default_rng(3), 200).astype(np.float32)
    exact = farthest_first(x, 15)
    found = select_by_shards(x, [np.arange(200)], 15, device=CPU)
    assert found.rows.tolist() == exact.rows.tolist()
    assert found.bound == pytest.approx(exact.radius, abs=1e-12)
    assert found.lowest == pytest.approx(exact.radius / 2, abs=1e-12)


def test_select_by_shards__optimum_of_a_small_pool_is_in_the_interval() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((14, 2)).astype(np.float32)
        found = select_by_shards(x, cut(rng, 14, 3), 3, device=CPU)
        best = min(true_radius(x, list(rows)) for rows in combinations(range(14), 3))
        assert found.lowest <= best + 1e-12
        assert best <= found.bound + 1e-12


def test_select_by_shards__shards_smaller_than_k_lose_nothing() -> None:
    x = np.random.default_rng(5).standard_normal((30, 3)).astype(np.float32)
    shards = [np.arange(start, start + 5) for start in range(0, 30, 5)]
    found = select_by_shards(x, shards, 8, device=CPU)
    exact = farthest_first(x, 8)
    assert found.rows.tolist() == exact.rows.tolist()
    assert found.bound == pytest.approx(exact.radius)


def test_join__bounds_each_shard_by_its_own_reach() -> None:
    """Two shards on a line: the coarse one lies at the final pick, the fine one is far from it."""
    picks = np.array([[0.0], [10.0]], np.float32)
    joined = join(picks, np.array([0, 1]), 1, device=CPU)
    assert (joined.rows.tolist(), joined.reaches.tolist(), joined.lowest) == ([0], [0.0, 10.0], 5.0)
    assert joined.bound(np.array([3.0, 1.0])) == 11.0


def test_join__fewer_picks_than_asked_for_prove_nothing_of_the_optimum() -> None:
    joined = join(np.zeros((1, 2), np.float32), np.array([0]), 5, device=CPU)
    assert (joined.rows.tolist(), joined.bound(np.array([2.0])), joined.lowest) == ([0], 2.0, 0.0)


def test_shards__are_checked() -> None:
    x = np.zeros((3, 2), np.float32)
    with pytest.raises(ValueError, match="at least one is needed"):
        select_by_shards(x, [np.arange(3), np.arange(0)], 1, device=CPU)
    for owners in ([0, 0], [0, 2, 2], []):
        with pytest.raises(ValueError, match="each with a pick"):
            join(x, np.array(owners, np.int64), 1, device=CPU)
