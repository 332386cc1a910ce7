import faiss
import numpy as np

from worker.selection.search.proposals import best_of, proven


def test_proven__what_is_proven_is_right_and_twins_are_not_proven():
    rng = np.random.default_rng(6)
    x = np.concatenate([rng.standard_normal((300, 8)), np.zeros((30, 8)) + 5]).astype(np.float32)

    squares, rows, sure = proven(x, x, 5, propose=faiss.knn, memory_bytes=10_000)

    all_squares = np.square(x[:, None].astype(np.float64) - x[None]).sum(axis=2)
    expected_rows = np.argsort(all_squares, axis=1, kind="stable")[:, :5]
    expected = np.take_along_axis(all_squares, expected_rows, axis=1)
    assert sure[:300].mean() > 0.99
    assert not sure[300:].any()
    np.testing.assert_allclose(squares[sure], expected[sure], rtol=1e-12)
    assert rows[sure].tolist() == expected_rows[sure].tolist()


def test_best_of__nearest_first_equal_ones_by_row_and_none_last():
    base = np.array([[1.0], [-1.0], [3.0], [0.5]], np.float32)

    squares, rows = best_of(np.zeros((1, 1), np.float32), base, np.array([[-1, 2, 1, 0]]), 4)

    assert squares.tolist() == [[1.0, 1.0, 9.0, np.inf]]
    assert rows.tolist() == [[0, 1, 2, -1]]
