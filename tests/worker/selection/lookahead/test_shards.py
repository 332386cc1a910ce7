import multiprocessing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.selection.farthest import farthest_first, traverse
from worker.selection.lookahead.bounds import upper_bounds
from worker.selection.lookahead.shards import LocalShard, Shards

KINDS = ("gaussian", "level", "identical", "clustered")


def made(kind, seed, n, d):
    rng = np.random.default_rng(seed)
    if kind == "level":
        return rng.integers(0, 3, (n, d)).astype(np.float32)
    if kind == "identical":
        return np.full((n, d), 0.3, np.float32)
    x = rng.standard_normal((n, d))
    if kind == "clustered":
        x = rng.standard_normal((5, d))[rng.integers(0, 5, n)] + 0.01 * x
    return x.astype(np.float32)


class Closing:
    """A gate that closes the rows after each pick, and a few from the beginning."""

    done = False
    ended = "rules"

    def __init__(self, x, rows):
        self.rows = rows
        self.closed = set(rows[:2].tolist())

    def start(self):
        return self.rows[:2]

    def picked(self, row):
        near = [r for r in (row + 1, row + 2) if r in self.rows and r not in self.closed]
        self.closed.update(near)
        return np.array(near, np.int64)


def sharded(x, k, ends, *, candidates, preselected=None, gate=None):
    """Traverse shards that each see nothing but their own part of the embeddings."""
    starts = [0, *ends[:-1]]
    parts = list(zip(starts, ends, strict=True))

    def inside(shards):
        if len(shards) < len(parts):
            start, end = parts[len(shards)]
            own = candidates[(candidates >= start) & (candidates < end)] - start
            with upper_bounds(x[start:end].copy(), own, device="cpu", tile_bytes=2**16) as bounds:
                return inside([*shards, LocalShard(bounds, start)])
        whole = Shards(shards, ends)
        if preselected is not None:
            whole.add(x[preselected])
        return traverse(whole, k, afresh=preselected is None, gate=gate, block_rows=16)

    return inside([])


def assert_same(found, expected):
    assert found.rows.tobytes() == expected.rows.tobytes()
    assert found.distances.tobytes() == expected.distances.tobytes()
    assert found.radius == expected.radius


@settings(max_examples=30, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(6, 120),
    d=st.integers(1, 20),
    k=st.integers(1, 60),
    cuts=st.lists(st.integers(1, 119), max_size=2, unique=True),
)
def test_shards__pick_what_one_machine_picks_however_rows_are_split(*, kind, seed, n, d, k, cuts):
    x = made(kind, seed, n, d)
    ends = [*sorted(cut for cut in cuts if cut < n), n]

    found = sharded(x, k, ends, candidates=np.arange(n))

    assert_same(found, farthest_first(x, k, block_rows=16))


@pytest.mark.parametrize("ends", [[400], [37, 400], [5, 398, 400]])
@pytest.mark.parametrize("kind", KINDS)
def test_shards__some_candidates_others_preselected_and_a_gate(ends, kind):
    x = made(kind, 3, 400, 7)
    candidates = np.flatnonzero(np.arange(400) % 3)
    preselected = np.array([0, 39, 399])

    found = sharded(x, 50, ends, candidates=candidates, preselected=preselected, gate=Closing(x, candidates))

    expected = farthest_first(
        x, 50, candidates=candidates, preselected=preselected, gate=Closing(x, candidates)
    )
    assert len(found.rows) == 50
    assert_same(found, expected)


def test_shards__one_without_candidates():
    x = made("gaussian", 4, 90, 3)
    candidates = np.arange(40, 90)

    found = sharded(x, 20, [30, 90], candidates=candidates)

    assert_same(found, farthest_first(x, 20, candidates=candidates))


def serve(connection, x, offset):
    """Answer the calls of one `Piped` until there are no more."""
    with upper_bounds(x, np.arange(len(x)), device="cpu", tile_bytes=2**16) as bounds:
        shard = LocalShard(bounds, offset)
        while (call := connection.recv()) is not None:
            connection.send(getattr(shard, call[0])(*call[1:]))


class Piped:
    """A shard in another process."""

    def __init__(self, connection):
        self.connection = connection

    def __getattr__(self, name):
        def call(*arguments):
            self.connection.send((name, *arguments))
            return self.connection.recv()

        return call


def test_shards__two_processes_that_share_nothing():
    x = made("gaussian", 5, 300, 6)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, x[110:], 110))
    process.start()

    with upper_bounds(x[:110], np.arange(110), device="cpu", tile_bytes=2**16) as bounds:
        shards = Shards([LocalShard(bounds), Piped(ours)], [110, 300])
        found = traverse(shards, 40, afresh=True, block_rows=32)

    ours.send(None)
    process.join(timeout=60)
    assert process.exitcode == 0
    assert_same(found, farthest_first(x, 40))


def test_top__of_shards_is_the_top_of_all():
    x = np.array([[0.0], [9.0], [2.0], [3.0], [5.0], [4.0]], np.float32)
    with (
        upper_bounds(x[:3], np.arange(3), device="cpu", tile_bytes=1000) as low,
        upper_bounds(x[3:], np.arange(3), device="cpu", tile_bytes=1000) as high,
    ):
        whole = Shards([LocalShard(low), LocalShard(high, 3)], [3, 6])
        whole.add(x[:1])

        rows, bounds, ceiling = whole.top(3)

        assert rows.tolist() == [1, 4, 5]
        np.testing.assert_allclose(bounds, [81, 25, 16], rtol=1e-4)
        assert ceiling == pytest.approx(9, rel=1e-4)
        whole.exclude(np.array([1, 4]))
        assert whole.top(6)[0].tolist() == [0, 2, 3, 5]
        assert whole.top(6)[2] == -np.inf
        whole.reopen(np.array([4]))
        assert whole.top(1)[0].tolist() == [4]
        vectors, squares = whole.fetch(np.array([1, 4]))
        assert vectors.tolist() == [[9.0], [5.0]]
        assert squares.tolist() == [81.0, 25.0]
        assert whole.first() == 0
