from collections.abc import Callable

import pytest

from worker.blocks import Figures, Text
from worker.facts import Facts
from worker.sections.budget import Budget

SECTION = Budget(type="budget")


def changed(facts: Facts, **budgets: object) -> Facts:
    curve = facts.analysis.budgets.model_copy(update=budgets)
    return facts.model_copy(update={"analysis": facts.analysis.model_copy(update={"budgets": curve})})


def test_budget__appears_from_a_handful_of_picks_on(make_facts: Callable[..., Facts]) -> None:
    assert SECTION.blocks(make_facts(40, 8), {})
    assert not SECTION.blocks(make_facts(40, 4), {})
    assert not SECTION.blocks(make_facts(40, 0), {})


@pytest.mark.parametrize(
    ("budgets", "words"),
    [
        ({"mostly_covered": 3}, "curve is flat"),
        ({"mostly_covered": 8}, "still falling"),
        ({"like_random": 5}, "5 picks of this selection cover the input on average as well as 8 random"),
        ({"like_random": None}, "8 random picks cover the input better"),
        ({"like_random_largest": 3}, "covered worst, 3 picks of this selection do as well as 8 random ones"),
    ],
)
def test_budget__says_what_the_curve_shows(
    budgets: dict[str, object], words: str, make_facts: Callable[..., Facts]
) -> None:
    first, *_ = SECTION.blocks(changed(make_facts(), **budgets), {})
    assert isinstance(first, Text)
    assert words in first.text
    assert "first 4 picks of 8" in first.text


def test_budget__draws_one_small_curve_a_strategy(make_facts: Callable[..., Facts]) -> None:
    (figures,) = (block for block in SECTION.blocks(make_facts(), {}) if isinstance(block, Figures))
    captions = " ".join(figure.caption for figure in figures.figures)
    assert len(figures.figures) == 4
    assert "Balance of day/1.jpg" in captions
    assert "Weights of day/0.jpg" in captions


def test_budget__says_that_it_is_an_estimate(make_facts: Callable[..., Facts]) -> None:
    *_, last = SECTION.blocks(changed(make_facts(), measured_rows=10, measured_picks=6), {})
    assert isinstance(last, Text)
    assert "10 of 40 input samples" in last.text
    assert "6 of the picks" in last.text
