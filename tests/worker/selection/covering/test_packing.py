import numpy as np
import pytest

from worker.selection.covering.packing import Packing, best_packing, proven_radius


def test_proven_radius__by_hand():
    x = np.array([[0], [1], [4], [5], [9]], np.float32)
    everyone = np.arange(5)
    three = Packing(
        np.array([0, 2, 4]), np.ones(3, np.int64)
    )  # 0, 4, 9: a centre at 1 or 4 or 5 gets two of them
    assert proven_radius(x, everyone, three, 2, device="cpu", memory_bytes=2**10) == pytest.approx(3.0)
    heavy = Packing(np.array([0, 4]), np.array([5, 1]))
    assert proven_radius(x, everyone, heavy, 2, device="cpu", memory_bytes=2**10) == 0.0


def test_proven_radius__does_not_depend_on_slices():
    x = np.random.default_rng(5).standard_normal((400, 7)).astype(np.float32)
    packing = Packing(np.arange(0, 400, 9), np.arange(1, 46))
    found = {
        proven_radius(x, np.arange(400), packing, 6, device="cpu", memory_bytes=size)
        for size in (1, 2**12, 2**30)
    }
    assert len(found) == 1


def test_best_packing__finds_what_equal_weights_cannot():
    # The corners of a square: their middle is no row, so one centre leaves a corner at the diagonal.
    square = np.array(
        [[0, 1, 1, 2**0.5], [1, 0, 2**0.5, 1], [1, 2**0.5, 0, 1], [2**0.5, 1, 1, 0]], np.float32
    )
    found = best_packing(square, np.arange(4), 1, low=0.7, high=1.4, steps=200)
    assert found is not None
    assert len(found.rows) == 4
