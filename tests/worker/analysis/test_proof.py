from itertools import combinations

import numpy as np
import pytest

from worker.analysis.proof import MAX_STEPS, insertion_curve, prove
from worker.facts import Curve
from worker.selection.covering.packing import Packing
from worker.selection.interval import RadiusInterval


def test_prove__the_interval_holds_the_best_radius_of_all_selections() -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        points = rng.standard_normal((9, 2))
        between = np.linalg.norm(points[:, None] - points[None], axis=2)
        picked = rng.permutation(9)[:3]
        inside = between[np.ix_(picked, picked)]
        found = prove(
            coverage=between[:, picked].min(axis=1),
            is_candidate=np.ones(9, bool),
            separation=float(inside[~np.eye(3, dtype=bool)].min()),
            insertion=Curve(picks=3, steps=(), distances=()),
        )
        best = min(between[:, list(some)].min(axis=1).max() for some in combinations(range(9), 3))
        assert found.optimum_low <= best <= found.optimum_high


def test_prove__says_why_there_is_no_interval() -> None:
    found = prove(
        coverage=np.zeros(2),
        is_candidate=np.ones(2, bool),
        separation=None,
        insertion=Curve(picks=1, steps=(), distances=()),
    )
    assert found.optimum_low is None
    assert "every candidate was picked" in found.reason


def test_insertion_curve__is_thinned_and_keeps_both_ends() -> None:
    line = np.arange(2_000, dtype=np.float32)[:, None]
    curve = insertion_curve(line, np.arange(2_000), np.empty(0, np.int64))
    assert len(curve.steps) == MAX_STEPS
    assert (curve.steps[0], curve.steps[-1]) == (2, 2_000)
    assert set(curve.distances) == {1.0}


def test_insertion_curve__starts_at_what_was_kept_before() -> None:
    curve = insertion_curve(np.array([[0.0], [4], [3]], np.float32), np.array([1, 2]), np.array([0]))
    assert curve.steps == (1, 2)
    assert curve.distances == pytest.approx((4, 1))


def test_prove__takes_the_nearer_ends_of_a_narrowed_interval() -> None:
    coverage, is_candidate = np.array([0.0, 2.0, 4.0, 9.0]), np.array([True, True, True, False])
    for low, high, expected in ((2.5, 3.5, (2.5, 3.5)), (1.0, 5.0, (2.0, 4.0)), (0.0, 0.0, (2.0, 4.0))):
        narrowed = RadiusInterval(low, high, np.arange(1), Packing(np.arange(2), np.ones(2, np.int64)))
        found = prove(
            coverage=coverage,
            is_candidate=is_candidate,
            separation=None,
            insertion=Curve(picks=1, steps=(), distances=()),
            narrowed=narrowed,
        )
        assert (found.optimum_low, found.optimum_high) == expected
        assert found.radius_candidates == 4.0
