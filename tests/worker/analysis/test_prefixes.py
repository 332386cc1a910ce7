import numpy as np
import pytest

from worker.analysis import prefixes as module
from worker.analysis.prefixes import Prefixes
from worker.device import Device

CPU = Device("cpu", "CPU", 1)
RNG = np.random.default_rng(7)
POINTS = (RNG.standard_normal((70, 4)) + 3).astype(np.float32)
ROWS = RNG.permutation(70)[:40]
BETWEEN = np.linalg.norm(POINTS[:, None].astype(float) - POINTS, axis=2)
BUDGETS = np.array([1, 2, 7, 31, 40])


@pytest.fixture(params=[(64, 2_048), (5, 9)], ids=["one block", "many blocks"], autouse=True)
def _sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK_ROWS", request.param[0])
    monkeypatch.setattr(module, "_TILE_ROWS", request.param[1])


@pytest.mark.parametrize("before", [[], [3, 50, 51]])
def test_coverage__is_the_distance_to_the_nearest_of_the_first(before: list[int]) -> None:
    measured = np.arange(0, 70, 3)
    prefixes = Prefixes(POINTS, measured=measured, before=np.array(before, np.int64), device=CPU)
    found = prefixes.coverage(ROWS, BUDGETS)
    for number, budget in enumerate(BUDGETS):
        kept = [*ROWS[:budget], *before]
        assert found[number] == pytest.approx(BETWEEN[np.ix_(measured, kept)].min(axis=1), abs=1e-6)


@pytest.mark.parametrize("before", [[], [3, 50]])
@pytest.mark.parametrize("places", [list(range(40)), [0, 1, 5, 30, 39], [12]])
def test_diversity__is_the_distance_to_the_nearest_other_of_the_first(
    before: list[int], places: list[int]
) -> None:
    rows = np.setdiff1d(ROWS, before)
    asked = np.array([at for at in places if at < len(rows)])
    budgets = np.array([budget for budget in BUDGETS if budget <= len(rows)])
    prefixes = Prefixes(POINTS, measured=np.arange(0), before=np.array(before, np.int64), device=CPU)
    found = prefixes.diversity(rows, budgets, asked)
    for number, budget in enumerate(budgets):
        for place, at in enumerate(asked):
            others = [row for row in (*rows[:budget], *before) if row != rows[at]]
            known = at < budget and len(others) > 0
            expected = BETWEEN[rows[at], others].min() if known else np.nan
            assert found[number, place] == pytest.approx(expected, abs=1e-6, nan_ok=True)
