from itertools import combinations

import numpy as np
import pytest

from worker.device import choose_device
from worker.selection.farthest import farthest_first
from worker.selection.interval import narrow

CPU = choose_device("cpu")


def squares_between(x, rows, to):
    x = x.astype(np.float64)
    return ((x[rows][:, None] - x[to][None]) ** 2).sum(axis=2)


def smallest_radius(x, candidates, k):
    squares = squares_between(x, candidates, candidates)
    return np.sqrt(
        min(squares[:, list(c)].min(axis=1).max() for c in combinations(range(len(candidates)), k))
    )


def gaussian(rng, n, d):
    return rng.standard_normal((n, d))


def clustered(rng, n, d):
    return rng.standard_normal((4, d))[rng.integers(0, 4, n)] + 0.01 * rng.standard_normal((n, d))


def grid(rng, n, d):
    return rng.integers(0, 3, (n, d)).astype(float)


def offset(rng, n, d):
    return rng.standard_normal((n, d)) + 3000.0


def circle(rng, n, d):
    angle = np.arange(n) * 2 * np.pi / n
    return np.pad(np.stack([np.cos(angle), np.sin(angle)], axis=1), ((0, 0), (0, d)))


def tiny(rng, n, d):
    return rng.standard_normal((n, d)) * 1e-16


def huge(rng, n, d):
    return rng.standard_normal((n, d)) * 1e16


KINDS = (gaussian, clustered, grid, offset, circle, tiny, huge)


def narrowed(x, k, *, candidates=None, **options):
    candidates = np.arange(len(x)) if candidates is None else candidates
    first = farthest_first(x, k, candidates=candidates)
    return first, narrow(x, candidates, first.rows, first.radius, device=CPU, **options)


@pytest.mark.parametrize("make", KINDS)
def test_narrow__holds_the_best_radius_of_all_selections(make):
    for seed in range(25):
        rng = np.random.default_rng(seed)
        n, d = int(rng.integers(2, 13)), int(rng.integers(1, 5))
        x = make(rng, n, d).astype(np.float32)
        candidates = np.sort(rng.choice(n, int(rng.integers(1, n + 1)), replace=False))
        k = int(rng.integers(1, min(5, len(candidates)) + 1))
        first, found = narrowed(x, k, candidates=candidates, steps=60)
        best = smallest_radius(x, candidates, k)
        assert found.lowest <= best <= found.highest * (1 + 1e-12)
        assert first.radius / 2 * (1 - 2e-12) <= found.lowest
        assert found.highest <= first.radius


@pytest.mark.parametrize("seed", range(15))
def test_narrow__is_true_for_a_selection_that_is_no_traversal(seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((11, 2)).astype(np.float32)
    selected = rng.choice(11, 3, replace=False)
    radius = np.sqrt(squares_between(x, np.arange(11), selected).min(axis=1).max())
    found = narrow(x, np.arange(11), selected, float(radius), device=CPU, steps=60)
    assert found.lowest <= smallest_radius(x, np.arange(11), 3) <= found.highest * (1 + 1e-12)


@pytest.mark.parametrize(("d", "most"), [(2, 1.5), (8, 1.25), (64, 1.05)])
def test_narrow__comes_nearer_than_a_factor_of_2(d, most):
    x = np.random.default_rng(0).standard_normal((600, d)).astype(np.float32)
    first, found = narrowed(x, 20)
    assert found.highest < first.radius
    assert found.highest / found.lowest < most


def test_narrow__evidence_proves_both_ends():
    x = np.random.default_rng(1).standard_normal((500, 6)).astype(np.float32)
    _, found = narrowed(x, 12)
    everyone = np.arange(500)
    assert len(np.unique(found.witness_rows)) == 12
    reach = np.sqrt(squares_between(x, everyone, found.witness_rows).min(axis=1).max())
    assert reach == pytest.approx(found.highest, rel=1e-12)
    held = (np.sqrt(squares_between(x, everyone, found.packing.rows)) < found.lowest) @ found.packing.weights
    assert held.max() * 12 < found.packing.weights.sum()


def test_narrow__is_the_same_twice_and_another_seed_is_true_too():
    x = np.random.default_rng(2).standard_normal((800, 4)).astype(np.float32)
    _, one = narrowed(x, 15, seed=3)
    _, again = narrowed(x, 15, seed=3)
    _, other = narrowed(x, 15, seed=4)
    assert (one.lowest, one.highest) == (again.lowest, again.highest)
    assert one.witness_rows.tolist() == again.witness_rows.tolist()
    assert one.packing.rows.tolist() == again.packing.rows.tolist()
    assert max(one.lowest, other.lowest) <= min(one.highest, other.highest)


@pytest.mark.parametrize("memory_bytes", [2**10, 2**15, 2**18])
def test_narrow__little_memory_only_widens(memory_bytes):
    x = np.random.default_rng(3).standard_normal((700, 5)).astype(np.float32)
    first, found = narrowed(x, 10, memory_bytes=memory_bytes, steps=200)
    _, better = narrowed(x, 10)
    assert first.radius / 2 * (1 - 2e-12) <= found.lowest <= better.highest
    assert better.lowest <= found.highest <= first.radius


def test_narrow__nothing_left_to_cover():
    x = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)
    _, found = narrowed(x, 3)
    assert (found.lowest, found.highest, len(found.packing.rows)) == (0.0, 0.0, 0)


def test_narrow__no_steps_still_prove_the_traversal():
    x = np.random.default_rng(4).standard_normal((300, 3)).astype(np.float32)
    first, found = narrowed(x, 9, steps=0)
    assert first.radius / 2 * (1 - 2e-12) <= found.lowest
    assert found.highest == first.radius


@pytest.mark.parametrize(
    ("selected", "steps", "message"),
    [([0], -1, "steps should be at least 0"), ([], 1, "at least one row"), ([3], 1, "among the candidates")],
)
def test_narrow__refuses(selected, steps, message):
    x = np.eye(4, dtype=np.float32)
    with pytest.raises(ValueError, match=message):
        narrow(x, np.arange(3), np.array(selected, np.int64), 1.0, device=CPU, steps=steps)
