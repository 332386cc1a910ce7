from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.selection.farthest import TIE, farthest_first


def reference(x, n, *, candidates=None, preselected=()):
    """Sum squared differences in float64, one pick at a time; return rows, distances and the radius left."""
    x = x.astype(np.float64)
    rows = np.arange(len(x)) if candidates is None else np.asarray(candidates)
    nearest = np.full(len(rows), np.inf)
    for row in preselected:
        nearest = np.minimum(nearest, ((x[rows] - x[row]) ** 2).sum(axis=1))
    picks, squares = [], []
    while len(picks) < min(n, len(rows)):
        best = int((nearest >= nearest.max() * (1 - TIE)).argmax())
        picks.append(rows[best])
        squares.append(nearest[best])
        nearest = np.minimum(nearest, ((x[rows] - x[rows[best]]) ** 2).sum(axis=1))
        nearest[best] = -np.inf
    return np.array(picks), np.sqrt(squares), np.sqrt(max(nearest.max(), 0.0))


def gaussian(rng, n, d):
    return rng.standard_normal((n, d))


def clustered(rng, n, d):
    return rng.standard_normal((5, d))[rng.integers(0, 5, n)] + 0.01 * rng.standard_normal((n, d))


def one_hot(rng, n, d):
    return np.eye(d)[rng.integers(0, d, n)]


def grid(rng, n, d):
    return rng.integers(0, 3, (n, d)).astype(float)


def duplicated(rng, n, d):
    return rng.standard_normal((max(1, n // 4), d))[rng.integers(0, max(1, n // 4), n)]


def identical(rng, n, d):
    return np.full((n, d), 0.3)


def offset(rng, n, d):
    return rng.standard_normal((n, d)) + 3000.0


def outlier(rng, n, d):
    x = rng.standard_normal((n, d))
    x[rng.integers(0, n)] *= 1e7
    return x


def near_twins(rng, n, d):
    return duplicated(rng, n, d) + 1e-6 * rng.standard_normal((n, d))


def tiny(rng, n, d):
    return rng.standard_normal((n, d)) * 1e-17


def huge(rng, n, d):
    return rng.standard_normal((n, d)) * 1e16


def unit(rng, n, d):
    x = rng.standard_normal((n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


KINDS = (
    gaussian,
    clustered,
    one_hot,
    grid,
    duplicated,
    identical,
    offset,
    outlier,
    near_twins,
    tiny,
    huge,
    unit,
)


def made(kind, seed, n, d):
    return kind(np.random.default_rng(seed), n, d).astype(np.float32)


@settings(max_examples=70, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 120),
    d=st.integers(1, 40),
    k=st.integers(1, 150),
    block_rows=st.sampled_from([1, 3, 16, 1024]),
    tile_bytes=st.sampled_from([1, 5000, 2**23]),
)
def test_farthest_first__equals_the_float64_reference(*, kind, seed, n, d, k, block_rows, tile_bytes):
    x = made(kind, seed, n, d)
    rows, distances, radius = reference(x, k)

    found = farthest_first(x, k, block_rows=block_rows, tile_bytes=tile_bytes)

    assert found.rows.tolist() == rows.tolist()
    np.testing.assert_allclose(found.distances[1:], distances[1:], rtol=1e-12)
    assert found.radius == pytest.approx(radius, rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(3, 80),
    d=st.integers(1, 12),
    k=st.integers(1, 40),
    preselected_count=st.integers(0, 5),
)
def test_farthest_first__among_some_rows_with_others_preselected(*, kind, seed, n, d, k, preselected_count):
    x = made(kind, seed, n, d)
    order = np.random.default_rng(seed).permutation(n)
    preselected = order[: min(preselected_count, n - 1)]
    candidates = np.sort(order[len(preselected) :][: max(1, n // 2)])
    rows, distances, radius = reference(x, k, candidates=candidates, preselected=preselected)

    found = farthest_first(x, k, candidates=candidates, preselected=preselected, block_rows=8)

    assert found.rows.tolist() == rows.tolist()
    first = 0 if len(preselected) else 1
    np.testing.assert_allclose(found.distances[first:], distances[first:], rtol=1e-12)
    assert found.radius == pytest.approx(radius, rel=1e-12)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_farthest_first__larger_data_of_every_kind(kind):
    x = made(kind, 7, 3000, 24)

    found = farthest_first(x, 150, block_rows=64)

    assert found.rows.tolist() == reference(x, 150)[0].tolist()


def test_farthest_first__by_hand():
    x = np.array([[0.0], [1.0], [10.0], [4.0]], np.float32)

    found = farthest_first(x, 3)

    assert found.rows.tolist() == [0, 2, 3]
    assert found.distances.tolist() == [10.0, 10.0, 4.0]
    assert found.radius == 1.0


def test_farthest_first__one_row():
    found = farthest_first(np.ones((1, 3), np.float32), 5)

    assert (found.rows.tolist(), found.distances.tolist(), found.radius) == ([0], [0.0], 0.0)


def test_farthest_first__coinciding_rows_come_in_row_order():
    found = farthest_first(np.ones((6, 2), np.float32), 4)

    assert found.rows.tolist() == [0, 1, 2, 3]
    assert found.distances.tolist() == [0.0] * 4


def test_farthest_first__the_lowest_of_level_rows_wins_although_it_is_not_the_largest():
    x = np.array([[0, 0], [1, 0], [1, 2**-21], [1, 2**-10]], np.float32)  # squares 1, 1 + 2e-13, 1 + 1e-6

    assert farthest_first(x[:3], 2).rows.tolist() == [0, 1]
    assert farthest_first(x, 2).rows.tolist() == [0, 3]


def test_farthest_first__invariants():
    x = made(gaussian, 1, 2000, 16)
    found = farthest_first(x, 100)
    picked = x[found.rows].astype(np.float64)
    pairs = [np.linalg.norm(a - b) for a, b in combinations(picked, 2)]

    assert (np.diff(found.distances) <= 0).all()
    assert min(pairs) == pytest.approx(found.distances[-1], rel=1e-12)
    assert found.radius <= found.distances[-1]
    assert len(set(found.rows.tolist())) == 100


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(4, 11), k=st.integers(1, 4))
def test_farthest_first__is_within_twice_the_best_radius(seed, n, k):
    x = made(gaussian, seed, n, 2)
    distances = np.linalg.norm(x[:, None].astype(np.float64) - x[None], axis=2)
    best = min(distances[:, list(rows)].min(axis=1).max() for rows in combinations(range(n), k))

    assert best <= farthest_first(x, k).radius * (1 + 1e-12) <= 2 * best * (1 + 1e-12)


def test_farthest_first__is_the_same_at_another_scale():
    x = made(gaussian, 2, 500, 8)

    small, large = farthest_first(x * np.float32(2**-30), 60), farthest_first(x * np.float32(2**30), 60)

    assert small.rows.tolist() == large.rows.tolist()
    np.testing.assert_array_equal(small.distances * 2.0**60, large.distances)


def test_farthest_first__in_another_order_picks_the_same_rows():
    x = made(gaussian, 3, 800, 8)
    order = np.concatenate([[0], 1 + np.random.default_rng(3).permutation(799)])

    assert order[farthest_first(x[order], 80).rows].tolist() == farthest_first(x, 80).rows.tolist()


def test_farthest_first__goes_on_from_preselected_rows():
    x = made(gaussian, 4, 800, 8)
    whole = farthest_first(x, 90)
    others = np.setdiff1d(np.arange(800), whole.rows[:30])

    rest = farthest_first(x, 60, candidates=others, preselected=whole.rows[:30])

    np.testing.assert_array_equal(rest.rows, whole.rows[30:])
    np.testing.assert_array_equal(rest.distances, whole.distances[30:])
    assert rest.radius == whole.radius


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("tile_bytes", [20_000, 2**23])
@pytest.mark.parametrize("block_rows", [32, 700])
def test_farthest_first__bytes_do_not_depend_on_tiles_blocks_or_threads(threads, tile_bytes, block_rows):
    x = made(clustered, 5, 900, 33)
    expected = farthest_first(x, 120)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = farthest_first(x, 120, tile_bytes=tile_bytes, block_rows=block_rows)
    finally:
        torch.set_num_threads(before)

    assert found.rows.tobytes() == expected.rows.tobytes()
    assert found.distances.tobytes() == expected.distances.tobytes()


class Turns:
    """A gate that lets no two picks have the same label, closes some rows at once, and ends after `most` picks."""

    def __init__(self, labels, start=(), most=10**9):
        self.labels, self.most = labels, most
        self.closed = set(start)
        self.first = np.array(sorted(start), np.int64)
        self.done, self.ended, self.count = False, None, 0

    def start(self):
        return self.first

    def picked(self, row):
        self.count += 1
        self.done = self.count == self.most
        self.ended = "rules"
        same = set(np.flatnonzero(self.labels == self.labels[row]).tolist()) - self.closed - {row}
        self.closed |= same
        return np.array(sorted(same), np.int64)


def gated_reference(x, gate, n):
    x = x.astype(np.float64)
    nearest, open_, picks, squares = np.full(len(x), np.inf), np.ones(len(x), bool), [], []
    open_[gate.start()] = False
    while len(picks) < n and open_.any() and not gate.done:
        values = np.where(open_, nearest, -np.inf)
        best = int((values >= values.max() * (1 - TIE)).argmax()) if picks else int(open_.argmax())
        picks.append(best)
        squares.append(nearest[best])
        nearest = np.minimum(nearest, ((x - x[best]) ** 2).sum(axis=1))
        open_[best] = False
        open_[gate.picked(best)] = False
    return picks, np.sqrt(squares), np.sqrt(np.delete(nearest, picks).max(initial=0.0))


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(2, 100),
    labels=st.integers(1, 40),
    most=st.integers(1, 30),
    block_rows=st.sampled_from([1, 4, 1024]),
)
def test_farthest_first__a_gate_closes_rows_for_good(*, kind, seed, n, labels, most, block_rows):
    x = made(kind, seed, n, 5)
    rng = np.random.default_rng(seed)
    of = rng.integers(0, labels, n)
    start = rng.permutation(n)[: rng.integers(0, n)].tolist()
    picks, distances, radius = gated_reference(x, Turns(of, start, most), 20)

    found = farthest_first(x, 20, gate=Turns(of, start, most), block_rows=block_rows)

    assert found.rows.tolist() == picks
    np.testing.assert_allclose(found.distances[1:], distances[1:], rtol=1e-12)
    assert found.radius == pytest.approx(radius, rel=1e-12)
    assert found.ended == (None if len(picks) == 20 else "rules")


def test_farthest_first__a_gate_that_is_closed_to_all():
    found = farthest_first(np.ones((3, 2), np.float32), 2, gate=Turns(np.zeros(3), [0, 1, 2]))

    assert (found.rows.tolist(), found.distances.tolist(), found.radius) == ([], [], 0.0)


@pytest.mark.parametrize(("apart", "rows"), [(4.0, [0, 2, 3]), (4.0000001, [0, 2]), (0.0, [0, 2, 3, 1])])
def test_farthest_first__ends_when_the_farthest_is_nearer_than_the_minimum_distance(apart, rows):
    x = np.array([[0.0], [1.0], [10.0], [4.0]], np.float32)

    found = farthest_first(x, 4, minimum_distance=apart)

    assert found.rows.tolist() == rows
    assert found.ended == (None if len(rows) == 4 else "too_close")
    assert found.radius == {3: 1.0, 2: 4.0, 4: 0.0}[len(rows)]


def test_farthest_first__embeddings_on_disk(tmp_path):
    x = made(clustered, 9, 2000, 16)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")

    found, expected = farthest_first(mapped, 80), farthest_first(x, 80)

    assert found.rows.tobytes() == expected.rows.tobytes()
    assert found.distances.tobytes() == expected.distances.tobytes()


def test_farthest_first__leaves_its_input_and_torchs_precision_alone():
    x = made(gaussian, 6, 300, 5)
    x.flags.writeable = False
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        found = farthest_first(x, 20)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert found.rows.tolist() == reference(x, 20)[0].tolist()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_farthest_first__a_gpu_gives_the_same_bytes(kind):
    x = made(kind, 8, 3000, 24)
    on_gpu, on_cpu = farthest_first(x, 150, device="cuda:0"), farthest_first(x, 150)

    assert on_gpu.rows.tobytes() == on_cpu.rows.tobytes()
    assert on_gpu.distances.tobytes() == on_cpu.distances.tobytes()
