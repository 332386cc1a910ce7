import numpy as np
import pytest

from worker.selection.search import twins
from worker.selection.search.twins import twins_of


def test_twins_of__lowest_rows_in_order_and_zero_is_zero():
    x = np.array([[2, 0], [1, 1], [2, -0.0], [0, 3], [1, 1]], np.float32)

    found = twins_of(x)

    assert found.first.tolist() == [0, 1, 3]
    assert found.kind.tolist() == [0, 1, 0, 2, 1]


def test_twins_of__keys_that_collide_are_noticed(monkeypatch):
    monkeypatch.setattr(twins, "_keys", lambda x: np.zeros(len(x), np.uint64))
    x = np.array([[2.0], [1.0], [2.0]], np.float32)

    found = twins_of(x)

    assert found.first.tolist() == [0, 1]
    assert found.kind.tolist() == [0, 1, 0]


@pytest.mark.parametrize("k", [1, 3, 4])
def test_told_apart__members_of_equally_near_kinds_go_by_row(k):
    found = twins_of(np.array([[1.0], [-1.0], [1.0], [-1.0], [5.0]], np.float32))

    squares, rows = found.told_apart(np.array([[1.0, 1.0, 25.0]]), np.array([[0, 1, 2]]), k)

    assert rows.tolist() == [[0, 1, 2, 3][:k]]
    assert squares.tolist() == [[1.0] * k]
