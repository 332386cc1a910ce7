from typing import Any

import pytest

from jobs.errors import JobRejected
from jobs.selection import Selection
from tests.worker.pools import pool
from worker.rules import NO_BOUND, rules_of
from worker.selection.gates.quotas import QuotaConflict

CAMERAS = ["front", "back", None, "front", "left"]
STRATEGIES = [{"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}}]


def selection(**rules: Any) -> Selection:
    return Selection.model_validate({"n_samples": 3, "strategies": STRATEGIES, **rules})


def quotas(*given: dict[str, Any]) -> Selection:
    return selection(quotas=[{"key": "camera", **one} for one in given])


SAMPLES = pool(5, words={"camera": CAMERAS, "weather": ["a", "a", "a", "b", None]})


def test_rules_of__nothing_asked_is_no_rule() -> None:
    found = rules_of(selection(), SAMPLES)
    assert (found.rules.quotas, found.rules.groups, found.rules.protected) == ((), None, None)


def test_rules_of__quotas_on_one_key_are_one() -> None:
    asked = quotas({"at_most": 2}, {"value": "front", "at_least": 1}, {"value": "front", "at_most": 1})
    named = rules_of(asked, SAMPLES).quotas[0]
    assert (named.key, named.values) == ("camera", ("back", "front", "left"))
    assert named.quota.labels.tolist() == [1, 0, -1, 1, 2]
    assert named.quota.at_least.tolist() == [0, 1, 0]
    assert named.quota.at_most.tolist() == [2, 1, 2]


def test_rules_of__no_upper_bound_is_more_than_there_ever_are() -> None:
    named = rules_of(quotas({"value": "front", "at_least": 1}), SAMPLES).quotas[0]
    assert named.quota.at_most.tolist() == [NO_BOUND] * 3


def test_rules_of__each_value_means_those_that_passed_and_names_mean_themselves() -> None:
    passed = pool(5, words={"camera": CAMERAS}, passed=[True, False, True, True, False])
    assert rules_of(quotas({"at_least": 1}), passed).quotas[0].quota.at_least.tolist() == [0, 1, 0]
    both = quotas({"at_least": 1}, {"value": "left", "at_least": 1})
    assert rules_of(both, passed).quotas[0].quota.at_least.tolist() == [0, 1, 1]


def test_rules_of__a_group_a_value_and_none_is_in_no_group() -> None:
    found = rules_of(selection(groups={"key": "camera"}), SAMPLES).rules.groups
    assert found is not None
    assert found.tolist() == [1, 0, -1, 1, 2]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (
            quotas({"at_most": 2}, {"value": "frnt", "at_most": 1}),
            r"selection\.quotas\.1\.value: no sample has camera 'frnt'; there are back, front, left; did you mean 'front'",
        ),
        (
            selection(quotas=[{"key": "camra", "at_most": 2}]),
            r"selection\.quotas\.0\.key: no category 'camra'; choose from camera, weather; did you mean 'camera'",
        ),
        (selection(groups={"key": "drive"}), r"selection\.groups\.key: no category 'drive'; choose from"),
    ],
)
def test_rules_of__refusals(asked: Selection, says: str) -> None:
    with pytest.raises(JobRejected, match=says):
        rules_of(asked, SAMPLES)


def test_refused__puts_a_conflict_into_the_jobs_words() -> None:
    asked = selection(quotas=[{"key": "weather", "at_most": 2}, {"key": "camera", "at_least": 1}])
    found = rules_of(asked, SAMPLES)
    one = found.refused(QuotaConflict(1, 2, "at_least 3, but there are 1 to pick from"))
    assert str(one) == "selection.quotas.1: camera 'left': at_least 3, but there are 1 to pick from"
    assert str(found.refused(QuotaConflict(0, None, "too much"))) == "selection.quotas: on weather: too much"
