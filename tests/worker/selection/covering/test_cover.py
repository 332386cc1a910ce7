import numpy as np

from worker.selection.covering.cover import cover


def test_cover__leaves_a_local_optimum():
    x = np.array([0.0, 1, 2, 10, 11, 12, 20, 21, 22], np.float32)
    table = np.abs(x[:, None] - x)
    centres, reached, swaps = cover(table, np.array([0, 1, 2]), 1.0, swaps=200, rng=np.random.default_rng(0))
    assert reached
    assert swaps <= 200
    assert sorted(centres.tolist()) == [1, 4, 7]
