import numpy as np
import pytest

from worker.analysis import explain as module
from worker.analysis.explain import Explanation, explain, first_picks
from worker.analysis.goals import Goal, Goals
from worker.device import Device
from worker.selection.terms import Balance, Diversity, Mode, Weights

CPU = Device("cpu", "CPU", 1)
LINE = np.array([[0.0], [1.0], [3.0], [6.0], [10.0]], np.float32)
NONE = np.array([], np.int64)
NO_GOALS = Goals()


def explained(
    embeddings: np.ndarray,
    selected: list[int],
    goals: Goals = NO_GOALS,
    before: np.ndarray = NONE,
    seed: int = 1,
) -> Explanation:
    return explain(
        embeddings,
        goals=goals,
        selected=np.array(selected, np.int64),
        candidates=np.ones(len(embeddings), bool),
        before=before,
        asked=len(selected),
        seed=seed,
        device=CPU,
    )


def pulling(n: int, mode: Mode = "objective_product") -> Goals:
    """Weights that want row 0, and a balance that wants class 1, which is all rows but the first ten."""
    shares = np.eye(2)[(np.arange(n) >= 10).astype(int)]
    weights = np.where(np.arange(n) == 0, 1000.0, 1.0)
    return Goals(
        terms=(
            Goal("weights of size", Weights(weights)),
            Goal("balance of kind", Balance(shares, np.array([0.01, 0.99])), ("a", "b")),
        ),
        mode=mode,
    )


def test_explain__neighbours_kept_and_left_out() -> None:
    found = explained(LINE, [0, 4, 2])
    assert found.nearest_kept.tolist() == [2, 2, 0]
    assert found.nearest_dropped.tolist() == [1, 3, 1]
    assert found.nearest_dropped_distance.tolist() == [1, 4, 2]


def test_explain__what_was_kept_before_is_kept_and_not_left_out() -> None:
    found = explained(LINE, [2], before=np.array([1]))
    assert (found.nearest_kept[0], found.inserted[0]) == (1, 2)
    assert (found.nearest_dropped[0], found.nearest_dropped_distance[0]) == (0, 3)


def test_explain__blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.random.default_rng(5).integers(0, 4, (60, 2)).astype(np.float32)
    picks = list(range(0, 60, 7))
    whole = explained(points, picks)
    monkeypatch.setattr(module, "_BLOCK_ROWS", 8)
    cut = explained(points, picks)
    assert cut.nearest_dropped.tolist() == whole.nearest_dropped.tolist()
    left = np.setdiff1d(np.arange(60), picks)
    apart = np.linalg.norm(points[picks][:, None] - points[left], axis=2)
    assert whole.nearest_dropped.tolist() == left[apart.argmin(axis=1)].tolist()
    assert whole.nearest_dropped_distance == pytest.approx(apart.min(axis=1))


def test_explain__says_which_strategy_decided() -> None:
    points = np.random.default_rng(2).standard_normal((60, 3)).astype(np.float32)
    found = explained(points, [0, 20, 30], pulling(60))
    names = [found.efforts[place].goal.name for place in found.decided_by]
    assert names == ["weights of size", "balance of kind", "balance of kind"]
    assert (found.decided(0), found.decided(1)) == (1, 2)
    assert found.efforts[0].lead[0] == pytest.approx(np.log(1000))


@pytest.mark.parametrize("mode", ["gain_product", "submodular"])
def test_explain__the_leads_are_those_of_the_mode(mode: Mode) -> None:
    points = np.random.default_rng(2).standard_normal((60, 3)).astype(np.float32)
    found = explained(points, [20, 0, 30], pulling(60, mode))
    leads = found.efforts[0].lead
    assert found.efforts[0].after.tolist() == [1, 1001, 1002]
    assert np.isnan(leads).all() if mode == "submodular" else leads[1] == pytest.approx(np.log(1000))


def test_explain__a_single_strategy_decides_everything_and_is_not_named() -> None:
    found = explained(LINE, [0, 4], Goals(terms=(Goal("diversity", Diversity()),)))
    assert found.decided_by.tolist() == [-1, -1]
    assert found.decided(0) is None
    assert found.efforts[0].after.tolist() == [0, 200]


def test_explain__draws_candidates_with_the_seed() -> None:
    points = np.random.default_rng(2).standard_normal((900, 3)).astype(np.float32)
    goals = Goals(terms=(*pulling(900).terms, Goal("diversity", Diversity())))
    leads = [explained(points, [20, 0, 30], goals, seed=seed).efforts[2].lead.tolist() for seed in (1, 1, 2)]
    assert leads[0][1:] == leads[1][1:]
    assert leads[0][1:] != leads[2][1:]


def test_explain__everything_picked_leaves_nothing_out() -> None:
    found = explained(LINE, [0, 1, 2, 3, 4], pulling(5))
    assert found.nearest_dropped.tolist() == [-1] * 5
    assert np.isnan(found.efforts[0].lead[-1])


@pytest.mark.parametrize("n", [0, 3])
def test_explain__an_empty_selection(n: int) -> None:
    found = explained(LINE[:n], [], pulling(n))
    assert len(found.rows) == len(found.decided_by) == 0
    assert first_picks([], found, 5) == ()


def test_first_picks__are_named_and_hold_no_nan() -> None:
    first, second = first_picks("abcde", explained(LINE, [0, 4, 2], pulling(5)), 2)
    assert (first.sample, first.distance, first.nearest_kept, first.nearest_dropped) == ("a", None, "c", "b")
    assert (second.step, second.distance, second.nearest_kept_distance) == (2, 10, 7)
    assert [one.strategy for one in second.objectives] == ["weights of size", "balance of kind"]
