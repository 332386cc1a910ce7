import numpy as np
import pytest

from worker.selection.search import tiles
from worker.selection.search.tiles import nearest_squares


def assert_right(queries, base, k):
    squares, rows = nearest_squares(queries, base, k, device="cpu", threads=2, memory_bytes=2**26)
    step = max(1, 2**21 // base.size)
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        every = np.square(queries[part, None].astype(np.float64) - base[None]).sum(axis=2)
        expected = np.argsort(every, axis=1, kind="stable")[:, :k]
        assert rows[part].tolist() == expected.tolist()
        np.testing.assert_allclose(squares[part], np.take_along_axis(every, expected, axis=1), rtol=1e-12)


@pytest.mark.parametrize("pairs_at_once", [8, 500, 2**18])
def test_nearest_squares__measured_in_parts(monkeypatch, pairs_at_once):
    monkeypatch.setattr(tiles, "_PAIRS_AT_ONCE", pairs_at_once)
    x = np.random.default_rng(0).standard_normal((600, 6)).astype(np.float32)

    assert_right(x[:40], x, 9)


def test_nearest_squares__the_bound_falls_over_many_tiles(monkeypatch):
    monkeypatch.setattr(tiles, "_TILE_ROWS", 128)
    monkeypatch.setattr(tiles, "_NEAR_ROWS", 256)
    x = np.random.default_rng(1).standard_normal((5000, 6)).astype(np.float32)

    assert_right(x[::25], x, 30)


def test_nearest_squares__cells_of_few_vectors_do_not_count_what_fills_them_up():
    rng = np.random.default_rng(2)
    x = np.concatenate([1e3 * rng.standard_normal((400, 3)), rng.standard_normal((700, 3))]).astype(
        np.float32
    )

    assert_right(x[::20], x, 60)


def test_nearest_squares__float32_cannot_tell_them_apart():
    x = (1e4 + 1e-2 * np.random.default_rng(3).integers(0, 9, (1500, 2))).astype(np.float32)
    x = np.unique(
        np.concatenate([x, np.random.default_rng(4).standard_normal((300, 2)).astype(np.float32)]), axis=0
    )

    assert_right(x, x, 12)
