import numpy as np
import pytest

from jobs.errors import JobRejected
from tests.worker.pools import entry, pool
from worker.strategies import balance
from worker.strategies.balance import effect

WEATHER = {"type": "METADATA", "key": "weather"}
VALUES = ["sun", "rain", "sun", None, "fog", "sun"]


def balanced(strategy, values=VALUES, **more):
    asked = entry(WEATHER, {"type": "BALANCE", **strategy})
    return effect(asked, pool(len(values), words={"weather": values}, **more), at="x")


def wanted(found):
    return dict(zip(found.classes, found.term.target.round(6).tolist(), strict=True))


def test_effect__target_and_everything_else_together():
    found = balanced({"target": {"sun": 0.2, "rain": 0.5}})

    assert wanted(found) == {"sun": 0.2, "rain": 0.5, "everything else": 0.3}
    assert found.term.shares.tolist() == [
        [1, 0, 0],
        [0, 1, 0],
        [1, 0, 0],
        [0, 0, 0],
        [0, 0, 1],
        [1, 0, 0],
    ]
    assert found.keep.tolist() == [True, True, True, False, True, True]
    assert found.missing_count == 1
    assert found.detail == "sun 20 %, rain 50 %, everything else 30 %"
    assert found.warnings == ()


def test_effect__others_are_unwanted_where_the_target_adds_up_to_1():
    assert wanted(balanced({"target": {"sun": 0.5, "rain": 0.5}}))["everything else"] == 0


def test_effect__a_class_may_be_called_everything_else():
    found = balanced({"target": {"everything else": 0.5}}, values=["everything else", "a"])
    assert wanted(found) == {"everything else": 0.5, "(everything else)": 0.5}


@pytest.mark.parametrize("values", [["sun", "rain", None], ["sun", "rain", "fog"]])
def test_effect__without_other_classes_the_shares_are_scaled_and_it_says_so(values):
    found = balanced({"target": {"sun": 0.1, "rain": 0.3}}, values=values, passed=[True, True, False])

    assert wanted(found) == {"sun": 0.25, "rain": 0.75}
    assert found.warnings == (
        "x: its shares add up to 0.4 and no sample has another class, so they were scaled up to 1.",
    )


def test_effect__thirds_need_no_word():
    third = 0.3333333333
    assert balanced({"target": {"sun": third, "rain": third, "fog": third}}).warnings == ()


def test_effect__uniform_over_what_there_is_after_thresholds():
    found = balanced({"distribution": "UNIFORM"}, passed=[True, True, True, True, False, True])

    assert wanted(found) == {"rain": 0.5, "sun": 0.5}
    assert found.term.shares[4].tolist() == [0, 0]
    assert found.detail == "equal shares of 2 classes"


def test_effect__input_is_that_of_all_samples_with_a_value():
    found = balanced({"distribution": "INPUT"}, passed=[True, True, False, True, False, False])

    assert wanted(found) == {"fog": 0.2, "rain": 0.2, "sun": 0.6}


@pytest.mark.parametrize(
    ("strategy", "values", "says"),
    [
        (
            {"target": {"sunn": 0.2}},
            VALUES,
            r"x\.strategy\.target: no sample has weather 'sunn'; there are fog, rain, sun; did you mean 'sun'\?",
        ),
        ({"target": {"sun": 0}}, ["sun", None], "every class that there is has a share of 0"),
        ({"target": {"sun": 1}}, [None, None], "no sample has weather 'sun'; there is no class at all"),
        (
            {"distribution": "UNIFORM", "key": "wether"},
            VALUES,
            r"x\.input\.key: no category 'wether'; choose",
        ),
    ],
)
def test_effect__refusals(strategy, values, says):
    asked = dict(strategy)
    given = {"type": "METADATA", "key": asked.pop("key", "weather")}
    with pytest.raises(JobRejected, match=says):
        effect(
            entry(given, {"type": "BALANCE", **asked}),
            pool(len(values), words={"weather": values}),
            at="x",
        )


def test_effect__no_sample_with_a_value_is_refused():
    with pytest.raises(
        JobRejected, match=r"no sample has a value of 'weather', so there is nothing to balance"
    ):
        balanced({"distribution": "UNIFORM"}, values=[None, None])


def test_effect__lists_twenty_classes_at_most():
    many = [f"class {number:03}" for number in range(100)]
    with pytest.raises(JobRejected, match="class 019 and 80 more"):
        balanced({"target": {"x": 1}}, values=many)
    assert balanced({"target": dict.fromkeys(many, 0.01)}, values=many).detail.endswith(
        " and 94 more classes"
    )


def test_effect__too_many_classes_are_refused(monkeypatch):
    monkeypatch.setattr(balance, "MAX_BYTES", 100)
    with pytest.raises(
        JobRejected, match=r"x\.strategy: balancing 3 classes of 6 samples takes .* quotas instead"
    ):
        balanced({"distribution": "UNIFORM"})


def test_effect__is_for_balance():
    other = entry({"type": "RANDOM"}, {"type": "WEIGHTS"})
    with pytest.raises(TypeError, match="expected a BALANCE"):
        effect(other, pool(2, words={"weather": ["a", "b"]}), at="x")


def test_effect__shares_are_float64():
    assert balanced({"distribution": "UNIFORM"}).term.shares.dtype == np.float64
