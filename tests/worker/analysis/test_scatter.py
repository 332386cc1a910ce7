import numpy as np
import pytest

from worker.analysis.scatter import MAX_POINTS, principal_axes, scatter, spread


def test_principal_axes__finds_the_long_direction_with_a_fixed_sign() -> None:
    points = np.array([[0, 0], [1, 2], [2, 4], [3, 6]], np.float32)
    _, axes, explained = principal_axes(points)
    assert axes[:, 0] == pytest.approx(np.array([1, 2]) / np.sqrt(5))
    assert explained == (pytest.approx(1), 0)
    assert np.array_equal(principal_axes(-points)[1], axes)


def test_principal_axes__one_dimension_has_no_second_axis() -> None:
    _, axes, explained = principal_axes(np.array([[1.0], [2.0]], np.float32))
    assert axes.tolist() == [[1, 0]]
    assert explained == (1, 0)


def test_spread__starts_in_the_middle_and_goes_out() -> None:
    points = np.array([[0.0, 0], [5, 0], [10, 0], [5, 0]])
    assert spread(points, 3) == [1, 0, 2]
    assert spread(points, 9) == [1, 0, 2]


def test_scatter__draws_points_of_a_large_input_and_says_so() -> None:
    many = np.random.default_rng(0).standard_normal((MAX_POINTS + 500, 3)).astype(np.float32)
    rows = np.arange(len(many))
    found = scatter(
        many,
        names=[str(row) for row in rows],
        inputs=rows,
        selected=rows[:30],
        preselected=rows[:0],
        seed=1,
    )
    assert (len(found.input), found.input_total) == (MAX_POINTS, len(many))
    assert len(found.examples) == 24
    assert all(one.selected for one in found.examples)
