import numpy as np

from worker.selection.lookahead.centres import Centres


def test_centres__keep_vectors_in_order_whatever_their_portions():
    x = np.arange(22, dtype=np.float32).reshape(11, 2)
    centres = Centres(2, slab_rows=4)

    for start, end in ((0, 1), (1, 1), (1, 9), (9, 11)):
        centres.append(x[start:end])

    assert centres.count == 11
    slabs = list(centres.slabs(0))
    assert [start for start, _ in slabs] == [0, 4, 8]
    np.testing.assert_array_equal(np.concatenate([slab for _, slab in slabs]), x)
    assert [start for start, _ in centres.slabs(5)] == [4, 8]
    assert list(centres.slabs(12)) == []
