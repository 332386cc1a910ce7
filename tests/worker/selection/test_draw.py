import numpy as np

from worker.selection.draw import draw


def test_draw__lowest_keys_of_the_candidates_first():
    candidates = np.array([True, False, True, True, True])
    keys = np.array([50, 1, 7, 50, 2**63 + 5], np.uint64)

    assert draw(candidates, keys, 3).tolist() == [2, 0, 3]
    assert draw(candidates, keys, 9).tolist() == [2, 0, 3, 4]
