from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from jobs.errors import JobRejected
from jobs.inputs import Query
from jobs.spec import SelectionJob, parse_job
from tests.worker.pools import pool
from worker.choose import Choice, choose
from worker.strategy import Samples

DIVERSITY = {"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}}
CAMERAS = ["front"] * 6 + ["back"] * 3 + [None]
SPEEDS = [float(row) for row in range(10)]
QUERY = {"keys": ["a"]}


def metadata(key: str, **strategy: Any) -> dict[str, Any]:
    return {"input": {"type": "METADATA", "key": key}, "strategy": strategy}


def fast(threshold: float) -> dict[str, Any]:
    return metadata("speed", type="THRESHOLD", threshold=threshold, operation="BIGGER_EQUAL")


def job(*strategies: dict[str, Any], n: int = 4, **selection: Any) -> SelectionJob:
    text = {
        "kind": "selection",
        "name": "night",
        "datasource": {"input": "/in", "output": "/out"},
        "selection": {"n_samples": n, "strategies": list(strategies or (DIVERSITY,)), **selection},
    }
    parsed = parse_job(text)
    assert isinstance(parsed, SelectionJob)
    return parsed


def samples() -> Samples:
    made = pool(10, numbers={"speed": SPEEDS}, words={"camera": CAMERAS})
    return replace(made, queries={Query.model_validate(QUERY): made.embeddings[[0]]})


def chosen(asked: SelectionJob) -> Choice:
    return choose(samples(), asked, asked=asked.selection.asked_of(10))


def test_choose__thresholds_come_first_wherever_they_stand() -> None:
    weights = metadata("speed", type="WEIGHTS", strength=-1)
    for entries in ([weights, fast(3)], [fast(3), weights]):
        found = chosen(job(*entries))
        assert found.rows.tolist() == [3, 4, 5, 6]
        assert found.candidates.tolist() == [False] * 3 + [True] * 7
        assert found.warnings == ()
    assert [one.detail for one in found.strategies] == ["on speed, BIGGER_EQUAL 3, keeps 7 of 10", "on speed"]


def test_choose__names_the_goals_that_decided() -> None:
    found = chosen(
        job(
            DIVERSITY,
            metadata("camera", type="BALANCE", distribution="UNIFORM"),
            DIVERSITY,
            mode="gain_product",
        )
    )
    assert [goal.name for goal in found.goals.terms] == ["diversity", "balance of camera", "diversity (2)"]
    assert found.goals.terms[1].classes == ("back", "front")
    assert found.goals.mode == "gain_product"
    assert "1 without a value left out" in found.strategies[1].detail
    assert not found.candidates[9]


def test_choose__a_very_strong_balance_decides_before_all_else() -> None:
    balance = metadata("camera", type="BALANCE", target={"front": 0.5, "back": 0.5}, strength=1e9)
    found = chosen(job(DIVERSITY, balance, n=6))
    assert sorted(CAMERAS[row] or "" for row in found.rows) == ["back"] * 3 + ["front"] * 3


def test_choose__nothing_left_is_said() -> None:
    found = chosen(job(DIVERSITY, fast(99)))
    assert len(found.rows) == 0
    assert found.warnings == (
        "No sample is left after the thresholds and what else leaves samples out: nothing was selected.",
    )


@pytest.mark.parametrize(
    "strategy",
    [
        metadata("speed", type="WEIGHTS"),
        metadata("camera", type="BALANCE", distribution="UNIFORM"),
        metadata("camera", type="BALANCE", target={"front": 0.2}),
        metadata("camera", type="BALANCE", distribution="INPUT"),
        {"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "TYPICALITY"}},
        {"input": {"type": "EMBEDDINGS", "query": QUERY}, "strategy": {"type": "SIMILARITY"}},
    ],
    ids=lambda strategy: strategy["strategy"]["type"],
)
def test_choose__nothing_left_is_no_error_for_any_strategy(strategy: dict[str, Any]) -> None:
    assert len(chosen(job(strategy, fast(99))).rows) == 0


def test_choose__more_than_there_are_is_all_of_them() -> None:
    found = chosen(job(DIVERSITY, n=50))
    assert sorted(found.rows.tolist()) == list(range(10))
    assert found.warnings == (
        "50 samples were asked for, but only 10 can be picked: all of them were selected.",
    )


def test_choose__all_zero_weights_take_the_first_rows_and_say_so() -> None:
    nothing = pool(5, numbers={"speed": [0.0] * 5})
    found = choose(nothing, job(metadata("speed", type="WEIGHTS"), n=3), asked=3)
    assert found.rows.tolist() == [0, 1, 2]
    assert found.warnings == ("selection.strategies.0: every weight is 0, so it ranks nothing.",)


def test_choose__without_a_ranking_strategy_it_is_a_draw() -> None:
    found = chosen(job(fast(2), n=3))
    assert len(found.rows) == 3
    assert found.candidates[found.rows].all()
    assert found.warnings == (
        "No strategy with a strength ranks the samples, so those that pass were drawn uniformly at random.",
    )
    assert found.goals.terms == ()


def test_choose__strategies_without_strength_leave_a_draw() -> None:
    lots = chosen(job(fast(0), n=3))
    found = chosen(job(metadata("speed", type="WEIGHTS", strength=0), n=3))
    assert sorted(found.rows.tolist()) == sorted(lots.rows.tolist())
    assert found.warnings == lots.warnings


def test_choose__says_that_a_sum_missed_its_range() -> None:
    far = metadata("speed", type="WEIGHTS", targetRange={"minSum": 1e6, "maxSum": 2e6})
    near = metadata("speed", type="WEIGHTS", targetRange={"minSum": 0})
    assert "outside target_range (1e+06 to 2e+06)" in chosen(job(far, n=3)).warnings[-1]
    assert chosen(job(near, n=3)).warnings == ()


def test_choose__a_draw_keeps_to_quotas() -> None:
    quotas = [
        {"key": "camera", "value": "back", "at_least": 2},
        {"key": "camera", "value": "front", "at_most": 1},
    ]
    seeds = [choose(samples(), job(fast(0), n=4, quotas=quotas).model_copy(update={"seed": s}), asked=4) for s in range(20)]  # fmt: skip
    for found in seeds:
        picked = [CAMERAS[row] for row in found.rows]
        assert picked.count("back") >= 2
        assert picked.count("front") <= 1
        assert len(picked) == 4
    assert len({tuple(found.rows.tolist()) for found in seeds}) > 10


def test_choose__a_draw_of_groups_does_not_prefer_large_ones() -> None:
    drawn = np.zeros(10)
    for seed in range(300):
        asked = job(fast(0), n=6, groups={"key": "camera"}).model_copy(update={"seed": seed})
        drawn[choose(samples(), asked, asked=6).rows[:1]] += 1
    assert 70 < drawn[:6].sum() < 130  # each of the three groups comes first in about a third of the draws


def test_choose__quotas_are_kept_and_named() -> None:
    found = chosen(job(DIVERSITY, quotas=[{"key": "camera", "value": "back", "at_least": 3}]))
    assert {6, 7, 8} <= set(found.rows.tolist())
    assert found.goals.quotas[0].key == "camera"


def test_choose__a_selection_that_ends_early_says_why() -> None:
    found = chosen(
        job(
            DIVERSITY,
            quotas=[{"key": "camera", "at_most": 1}, {"key": "camera", "value": "front", "at_most": 0}],
        )
    )
    assert sorted(CAMERAS[row] or "" for row in found.rows) == ["", "back"]
    assert found.goals.ended == "rules"
    assert found.warnings == ("2 of 4 samples were selected: no further sample fits the quotas.",)


def test_choose__quotas_that_the_thresholds_make_impossible_are_refused_by_name() -> None:
    quotas = [{"key": "camera", "value": "front", "at_least": 2}]
    with pytest.raises(
        JobRejected, match=r"selection\.quotas\.0: camera 'front': at_least 2, but there are 1 to"
    ):
        chosen(job(fast(5), quotas=quotas))


def test_choose__groups_are_whole_or_not_there() -> None:
    found = chosen(job(DIVERSITY, n=5, groups={"key": "camera"}))
    assert sorted(CAMERAS[row] or "" for row in found.rows) == ["", "back", "back", "back"]


def test_choose__nothing_near_a_protected_sample() -> None:
    made = samples()
    distances = np.linalg.norm(made.embeddings - made.embeddings[0], axis=1)
    radius = float(np.sort(distances)[3]) + 1e-6
    found = chosen(job(DIVERSITY, n=10, protected={"query": QUERY, "radius": radius}))
    assert sorted(found.rows.tolist()) == np.flatnonzero(distances > radius).tolist()
    assert found.goals.protected_count == 4
    assert found.warnings[0] == "Left out: 4 samples within the radius of a protected one."
    assert 0 not in found.rows


def test_choose__stops_are_said() -> None:
    distance = {"type": "DIVERSITY", "stopping_condition_minimum_distance": 1.0}
    skipping = chosen(job({**DIVERSITY, "strategy": distance}, n=9))
    stopping = chosen(job({**DIVERSITY, "strategy": {**distance, "on_too_close": "stop"}}, n=9))
    assert skipping.goals.ended == stopping.goals.ended == "too_close"
    assert "nearer to the selection than stopping_condition_minimum_distance." in skipping.warnings[0]
    total = chosen(job(metadata("speed", type="WEIGHTS", stopping_condition_max_sum=20)))
    assert total.rows.tolist() == [9, 8, 7]
    assert total.warnings == ("3 of 4 samples were selected: stopping_condition_max_sum was reached.",)


@pytest.mark.parametrize("mode", ["objective_product", "gain_product", "submodular"])
def test_choose__every_mode_selects(mode: str) -> None:
    found = chosen(job(DIVERSITY, metadata("speed", type="WEIGHTS"), mode=mode))
    assert len(set(found.rows.tolist())) == 4
    assert found.goals.mode == mode
