import numpy as np
import pytest

from worker.selection.lookahead.block import TIE, Block


def reference(x, squares):
    """Return all rows in pick order, one at a time, by differences in float64."""
    x, squares, picks = x.astype(np.float64), squares.copy(), []
    while squares.max() >= 0:
        best = int((squares >= squares.max() * (1 - TIE)).argmax())
        picks.append((best, squares[best]))
        squares = np.minimum(squares, ((x - x[best]) ** 2).sum(axis=1))
        squares[[place for place, _ in picks]] = -np.inf
    return picks


def picked(block):
    picks = []
    while (best := block.best()) is not None:
        block.pick(best[0])
        picks.append(best)
    return picks


def gaussian(rng):
    return rng.standard_normal((500, 12))


def level(rng):
    return rng.integers(0, 2, (700, 5))


def one_hot(rng):
    return np.eye(600)[:, rng.permutation(600)][:400]


def twins(rng):
    return gaussian(rng)[rng.integers(0, 100, 500)] * 1e-12


@pytest.mark.parametrize("make", [gaussian, level, one_hot, twins], ids=lambda make: make.__name__)
def test_block__picks_in_the_order_of_the_reference(make):
    x = make(np.random.default_rng(2)).astype(np.float32)
    squares = ((x.astype(np.float64) - x[0]) ** 2).sum(axis=1)

    found = picked(Block(np.arange(len(x)), x, squares, device="cpu"))

    expected = reference(x, squares)
    assert [place for place, _ in found] == [place for place, _ in expected]
    np.testing.assert_allclose([s for _, s in found], [s for _, s in expected], rtol=1e-11)


def test_block__nearly_level_rows_in_a_long_chain():
    squares = 4.0 * (1 + 0.4 * TIE * np.random.default_rng(3).permutation(300))
    x = np.diag(np.full(300, 100.0)).astype(np.float32)

    found = picked(Block(np.arange(300), x, squares, device="cpu"))

    assert [place for place, _ in found] == [place for place, _ in reference(x, squares)]


def test_block__closed_rows_are_not_picked():
    x = np.array([[1.0], [5.0], [9.0], [4.0]], np.float32)
    block = Block(np.array([10, 20, 30, 40]), x, x[:, 0].astype(np.float64) ** 2, device="cpu")
    assert block.best() == (2, 81.0)

    block.close(np.array([5, 30, 40]))

    assert [place for place, _ in picked(block)] == [1, 0]
    assert block.squares.tolist() == [-np.inf] * 4


def test_block__without_rows():
    assert (
        Block(np.empty(0, np.int64), np.empty((0, 3), np.float32), np.empty(0), device="cpu").best() is None
    )
