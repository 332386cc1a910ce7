from collections.abc import Callable

from worker.blocks import Callout, Table, Text
from worker.facts import Facts, QuotaFacts, QuotaValue
from worker.sections.quotas import Quotas

SECTION = Quotas(type="quotas")


def value(name: str, **changes: object) -> QuotaValue:
    given = {"value": name, "at_least": 0, "at_most": 4, "candidates": 9, "picked": 4, "missing": 0}
    return QuotaValue(**given | changes)


def blocks(facts: Facts, *values: QuotaValue, protected: int = 0) -> tuple[object, ...]:
    quotas = (QuotaFacts(key="camera", values=values),)
    analysis = facts.analysis.model_copy(update={"quotas": quotas, "protected": protected})
    return SECTION.blocks(facts.model_copy(update={"analysis": analysis}), {})


def test_quotas__shortfalls_come_first_and_by_name(make_facts: Callable[..., Facts]) -> None:
    short = value("rear", at_least=6, at_most=None, picked=4, missing=2)
    warning, text, table = blocks(make_facts(), value("left"), short)
    assert isinstance(warning, Callout)
    assert isinstance(text, Text)
    assert isinstance(table, Table)
    assert "camera rear (2 missing)" in warning.text
    assert "1 of 1 value with a largest number" in text.text
    assert table.rows == (("rear", "9", "6", "any", "4", "2"), ("left", "9", "0", "4", "4", "none"))


def test_quotas__many_values_are_cut_and_counted(make_facts: Callable[..., Facts]) -> None:
    _, table = blocks(make_facts(), *(value(str(number)) for number in range(45)))
    assert isinstance(table, Table)
    assert len(table.rows) == 40
    assert "5 more values" in table.caption


def test_quotas__protected_alone(make_facts: Callable[..., Facts]) -> None:
    (text,) = blocks(make_facts(), protected=1)
    assert isinstance(text, Text)
    assert text.text.startswith("1 sample was left out")


def test_quotas__nothing_where_there_is_neither(make_facts: Callable[..., Facts]) -> None:
    assert blocks(make_facts()) == ()
