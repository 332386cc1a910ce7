from collections.abc import Callable

from worker.blocks import Table, Text
from worker.facts import Facts, Outcome
from worker.sections.outcomes import Outcomes

SECTION = Outcomes(type="outcomes")


def blocks(facts: Facts, *found: Outcome, mode: str = "objective_product") -> tuple[object, ...]:
    analysis = facts.analysis.model_copy(update={"outcomes": found, "mode": mode})
    return SECTION.blocks(facts.model_copy(update={"analysis": analysis}), {})


def outcome(name: str, **changes: object) -> Outcome:
    given = {
        "strategy": name,
        "strength": 1.0,
        "objective": 3.0,
        "alone": 4.0,
        "share_of_alone": 0.75,
        "not_compared": None,
        "decided": 5,
    }
    return Outcome(**given | changes)


def test_outcomes__a_row_a_strategy(make_facts: Callable[..., Facts]) -> None:
    other = outcome("b", alone=None, share_of_alone=None, not_compared="its strength is 0")
    _, table, notes = blocks(make_facts(), outcome("a"), other)
    assert isinstance(table, Table)
    assert isinstance(notes, Text)
    assert table.rows == (("a", "1", "3", "4", "75.0 %", "5"), ("b", "1", "3", "n/a", "n/a", "5"))
    assert "b: nothing to compare with, because its strength is 0." in notes.text


def test_outcomes__a_single_strategy_has_no_rival(make_facts: Callable[..., Facts]) -> None:
    assert blocks(make_facts(), outcome("a")) == ()


def test_outcomes__says_when_something_else_was_maximised(make_facts: Callable[..., Facts]) -> None:
    undecided = (outcome("a", decided=0), outcome("b", decided=0))
    text, table, _ = blocks(make_facts(), *undecided, mode="submodular")
    assert isinstance(text, Text)
    assert isinstance(table, Table)
    assert "submodular" in text.text
    assert "Decided" not in table.columns
