from collections.abc import Callable

import pytest

from worker.blocks import Table, Text
from worker.facts import BalanceClass, BalanceFacts, Facts, UnmetReason
from worker.sections.balance import Balance

SECTION = Balance(type="balance")


def one_class(name: str, achieved: float, *reasons: UnmetReason) -> BalanceClass:
    return BalanceClass(
        name=name, requested=0.5, achieved=achieved, achievable=0.5, candidates=9, reasons=reasons
    )


def blocks(facts: Facts, *classes: BalanceClass, joint: bool = True) -> tuple[object, ...]:
    found = BalanceFacts(
        strategy="balance of kind",
        joint=joint,
        picks=8,
        misplaced=0.25,
        misplaced_at_best=0.0,
        classes=classes,
    )
    analysis = facts.analysis.model_copy(update={"balances": (found,)})
    return SECTION.blocks(facts.model_copy(update={"analysis": analysis}), {})


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("impossible", "impossible in the input"),
        ("trade_off", "trade-off"),
        ("too_few_samples", "too few samples"),
    ],
)
def test_balance__says_which_reason_hit_and_explains_that_one_only(
    reason: UnmetReason, said: str, make_facts: Callable[..., Facts]
) -> None:
    _, _, table, legend = blocks(make_facts(), one_class("a", 0.75, reason), one_class("b", 0.25))
    assert isinstance(table, Table)
    assert isinstance(legend, Text)
    assert [row[-1] for row in table.rows] == [said, "as requested"]
    assert legend.text.lower().startswith(said)
    assert legend.text.count(": ") == 1


def test_balance__no_reason_no_legend(make_facts: Callable[..., Facts]) -> None:
    assert len(blocks(make_facts(), one_class("a", 0.5), one_class("b", 0.5))) == 3


def test_balance__a_bound_is_called_one(make_facts: Callable[..., Facts]) -> None:
    *_, legend = blocks(make_facts(), one_class("a", 0.75, "trade_off"), joint=False)
    assert isinstance(legend, Text)
    assert "one between classes" in legend.text


def test_balance__shows_the_classes_that_are_farthest_off(make_facts: Callable[..., Facts]) -> None:
    classes = [one_class(str(number), 0.5 if number % 2 else 0.008 * number) for number in range(60)]
    _, _, table = blocks(make_facts(), *classes)
    assert isinstance(table, Table)
    assert "16 classes that are farthest off" in table.caption
    assert [row[0] for row in table.rows] == [str(number) for number in range(0, 32, 2)]


def test_balance__is_beside_random_draws(make_facts: Callable[..., Facts]) -> None:
    first, *_ = SECTION.blocks(make_facts(), {})
    assert isinstance(first, Text)
    assert "in random draws" in first.text


def test_balance__nothing_without_a_target_or_a_pick(make_facts: Callable[..., Facts]) -> None:
    facts = make_facts()
    without = facts.model_copy(update={"analysis": facts.analysis.model_copy(update={"balances": ()})})
    assert SECTION.blocks(without, {}) == ()
    assert SECTION.blocks(make_facts(40, 0), {}) == ()
