import numpy as np
import pytest

from worker.analysis import budget_curve as module
from worker.analysis.baseline import draw
from worker.analysis.budget_curve import budget_curve, spaced
from worker.analysis.goals import Goal
from worker.device import Device
from worker.facts import BudgetCurve
from worker.selection.terms import Balance, Diversity, Weights

CPU = Device("cpu", "CPU", 1)
NONE = np.array([], np.int64)
RNG = np.random.default_rng(1)
CLUSTERS = np.repeat(RNG.standard_normal((8, 6)) * 5, 25, axis=0)
POINTS = (CLUSTERS + 0.1 * RNG.standard_normal((200, 6))).astype(np.float32)
SPREAD = np.array([row + shift for shift in (0, 1) for row in range(0, 200, 25)])
GOALS = (
    Goal("diversity", Diversity()),
    Goal("weights of size", Weights(np.arange(200) / 10)),
    Goal("balance of kind", Balance(np.eye(2)[np.arange(200) % 2], np.array([0.5, 0.5])), ("even", "odd")),
)


def curve(
    selected: np.ndarray, before: np.ndarray = NONE, candidates: np.ndarray | None = None
) -> BudgetCurve | None:
    inputs = np.setdiff1d(np.arange(200), before)
    draws = draw(
        POINTS,
        size=len(selected),
        candidates=inputs if candidates is None else candidates,
        inputs=inputs,
        preselected=before,
        seed=4,
        device=CPU,
    )
    return budget_curve(
        POINTS,
        selected=selected,
        goals=GOALS,
        draws=draws,
        before=before,
        input_rows=len(inputs),
        seed=4,
        device=CPU,
    )


def test_budget_curve__numbers_of_the_first_picks() -> None:
    found = curve(SPREAD)
    assert found is not None
    assert found.budgets == tuple(range(1, 17))
    between = np.linalg.norm(POINTS[:, None].astype(float) - POINTS, axis=2)
    for at in (0, 7, 15):
        kept = SPREAD[: at + 1]
        covered = between[:, kept].min(axis=1)
        assert found.of("coverage_mean")[0].selected[at] == pytest.approx(covered.mean())
        assert found.of("coverage_p95")[0].selected[at] == pytest.approx(np.percentile(covered, 95))
        assert found.of("coverage_max")[0].selected[at] == pytest.approx(covered.max())
        assert found.of("weights_sum")[0].selected[at] == pytest.approx(kept.sum() / 10)
        odd = (kept % 2).mean()
        assert found.of("misplaced_share")[0].selected[at] == pytest.approx(abs(odd - 0.5))
    inside = between[np.ix_(SPREAD, SPREAD)] + np.diag(np.full(16, np.inf))
    assert found.of("diversity_mean")[0].selected[15] == pytest.approx(inside.min(axis=1).mean())
    assert found.of("diversity_min")[0].selected[15] == pytest.approx(inside.min())
    assert found.of("diversity_min")[0].selected[0] is None
    shares = found.of("covered_share")
    assert [one.radius for one in shares] == sorted(one.radius for one in shares)


def test_budget_curve__says_where_it_flattens_and_when_it_beats_all_random_picks() -> None:
    found = curve(SPREAD)
    assert found is not None
    assert found.mostly_covered in {7, 8}, "there are 8 clusters"
    assert found.like_random is not None
    assert found.like_random <= 8
    assert curve(np.arange(16)).like_random is None


def test_budget_curve__the_band_comes_from_the_candidates() -> None:
    found = curve(SPREAD[:3], candidates=np.array([0, 25, 50]))
    assert found is not None
    ends = found.of("weights_sum")[0]
    assert ends.random_low[-1] == ends.random_high[-1] == pytest.approx(7.5)


def test_budget_curve__what_was_kept_before_counts_for_both() -> None:
    found = curve(SPREAD[1:], before=SPREAD[:1])
    assert found is not None
    assert found.of("diversity_min")[0].selected[0] is not None
    assert found.of("weights_sum")[0].selected[0] == pytest.approx(SPREAD[:2].sum() / 10)


def test_budget_curve__measures_a_seeded_part_where_it_would_be_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PAIRS", 1)
    monkeypatch.setattr(module, "MIN_MEASURED", 10)
    found = curve(SPREAD)
    assert found is not None
    assert (found.measured_rows, found.input_rows, found.measured_picks) == (10, 200, 10)
    assert found == curve(SPREAD)


def test_budget_curve__nothing_picked_has_no_curve() -> None:
    assert curve(NONE) is None


@pytest.mark.parametrize("picks", [1, 60, 61, 3_000, 10**6])
def test_spaced__reaches_all_picks_with_at_most_60_budgets(picks: int) -> None:
    budgets = spaced(picks)
    assert (budgets[0], budgets[-1]) == (1, picks)
    assert len(budgets) == min(picks, len(budgets)) <= 60
    assert (np.diff(budgets) > 0).all()
