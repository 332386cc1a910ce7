import numpy as np
import pytest

from worker.selection.pool import Pool, first_unusable


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 2e18])
def test_pool__names_the_first_row_that_is_not_finite(wrong):
    x = np.zeros((5000, 2), np.float32)
    x[4321, 1] = x[4500, 0] = wrong

    with pytest.raises(ValueError, match="row 4321"):
        Pool(x, np.ones(5000, bool))


@pytest.mark.parametrize(
    ("x", "candidates", "text"),
    [
        (np.zeros((3, 2)), np.ones(3, bool), "float64"),
        (np.zeros(3, np.float32), np.ones(3, bool), r"\(3,\)"),
        (np.zeros((3, 0), np.float32), np.ones(3, bool), r"\(3, 0\)"),
        (np.zeros((3, 2), np.float32), np.ones(4, bool), r"should be \(3,\) bool"),
        (np.zeros((3, 2), np.float32), np.ones(3), "got float64"),
    ],
)
def test_pool__refuses_arrays_that_do_not_fit(x, candidates, text):
    with pytest.raises(ValueError, match=text):
        Pool(x, candidates)


def test_first_unusable__finite_rows():
    assert first_unusable(np.full((3, 2), -1e18, np.float32)) is None
    assert len(Pool(np.zeros((3, 2), np.float32), np.ones(3, bool))) == 3
