import numpy as np
import pytest

from worker.analysis import alone as module
from worker.analysis.alone import outcomes
from worker.analysis.explain import explain
from worker.analysis.goals import Goal, Goals
from worker.device import Device
from worker.facts import Outcome
from worker.selection.terms import Balance, Diversity, Objects, Term, Weights

CPU = Device("cpu", "CPU", 1)
LINE = np.array([[0.0], [1.0], [3.0], [6.0], [10.0]], np.float32)
KINDS = np.eye(2)[[0, 0, 0, 1, 1]]


def outcomes_of(
    *terms: Term, selected: tuple[int, ...] = (0, 1), before: tuple[int, ...] = ()
) -> tuple[Outcome, ...]:
    goals = Goals(terms=tuple(Goal(str(place), term, ("a", "b")) for place, term in enumerate(terms)))
    kept, candidates = np.array(before, np.int64), np.ones(5, bool)
    found = explain(
        LINE,
        goals=goals,
        selected=np.array(selected, np.int64),
        candidates=candidates,
        before=kept,
        asked=2,
        seed=0,
        device=CPU,
    )
    return outcomes(LINE, found, candidates=candidates, before=kept, device=CPU)


def test_outcomes__beside_what_each_would_get_alone() -> None:
    diverse, heavy, balanced = outcomes_of(
        Diversity(), Weights(np.array([1.0, 2, 3, 4, 5])), Balance(KINDS, np.array([0.5, 0.5]))
    )
    assert (diverse.objective, diverse.alone, diverse.share_of_alone) == (2, 200, 0.01)
    assert (heavy.objective, heavy.alone) == (3, 9)
    assert balanced.alone == pytest.approx(1 / np.log(2))
    assert balanced.share_of_alone == pytest.approx(np.log(2) / -(0.5 * np.log(1e-10)), rel=1e-6)
    assert [one.decided for one in (diverse, heavy, balanced)] == [0, 0, 0], "these picks lead in nothing"


def test_outcomes__count_the_picks_that_a_strategy_decided() -> None:
    found = outcomes_of(Diversity(), Weights(np.array([1.0, 2, 3, 4, 5])), selected=(4, 0))
    assert [one.decided for one in found] == [1, 1]


def test_outcomes__a_negative_strength_wants_little() -> None:
    light, _ = outcomes_of(Weights(np.array([1.0, 2, 3, 4, 5]), strength=-1), Diversity(), selected=(1, 2))
    assert (light.objective, light.alone, light.share_of_alone) == (5, 3, 0.6)


def test_outcomes__what_was_kept_before_counts_on_both_sides() -> None:
    heavy, diverse = outcomes_of(
        Weights(np.array([1.0, 2, 3, 4, 5])), Diversity(), selected=(0,), before=(4,)
    )
    assert (heavy.objective, heavy.alone) == (6, 9)
    assert (diverse.objective, diverse.alone, diverse.share_of_alone) == (200, 200, 1)


def test_outcomes__say_why_nothing_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = Objects(np.zeros((1, 2), np.float32), np.array([0]))
    found = outcomes_of(
        Weights(np.ones(5), strength=0.0),
        Weights(np.ones(5), target=(1.0, 2.0)),
        Balance(np.full((5, 2), 0.5), np.array([0.5, 0.5])),
        Balance(KINDS, np.array([0.5, 0.5]), strength=-1.0),
        Diversity(objects=objects),
    )
    texts = [one.not_compared or "" for one in found]
    words = ["strength is 0", "range of sums", "several classes", "negative strength", "objects"]
    assert all(word in text for word, text in zip(words, texts, strict=True))
    monkeypatch.setattr(module, "MAX_PRODUCTS", 1)
    assert "too long" in (outcomes_of(Diversity(), Weights(np.ones(5)))[0].not_compared or "")


def test_outcomes__a_single_strategy_and_an_empty_selection() -> None:
    (only,) = outcomes_of(Diversity())
    assert (only.alone, only.decided, only.not_compared) == (None, None, "it is the only strategy")
    empty = outcomes_of(Diversity(), Weights(np.ones(5)), selected=())
    assert {(one.objective, one.not_compared) for one in empty} == {(None, "nothing was selected")}
