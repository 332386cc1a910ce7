import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from worker.facts import Counts, Facts

SCHEMA = Path(__file__).parents[2] / "docs" / "report.schema.json"
GOOD = {
    "listed": 10,
    "ignored": 1,
    "skipped": {"empty": 2},
    "read": 7,
    "samples": 7,
    "duplicates": 1,
    "pool": 6,
    "dropped": 2,
    "candidates": 4,
    "asked": 9,
    "selected": 4,
}


def test_counts__add_up() -> None:
    assert Counts(**GOOD).candidates == 4


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"listed": 11}, "listed = ignored"),
        ({"duplicates": 2}, "samples = near_identical"),
        ({"dropped": 3}, "pool = dropped"),
        ({"selected": 5}, "selected 5"),
        ({"asked": 3}, "asked 3"),
        ({"samples": 6, "pool": 5, "dropped": 1}, "7 sources"),
        ({"near_identical": 1}, "samples = near_identical"),
        ({"damaged": 8}, "8 sources"),
    ],
)
def test_counts__refuse_what_does_not_add_up(wrong: dict[str, int], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        Counts(**GOOD | wrong)


def test_facts__survive_json(make_facts: Callable[..., Facts]) -> None:
    facts = make_facts()
    assert Facts.model_validate_json(facts.model_dump_json()) == facts


def test_facts__only_the_run_may_differ(make_facts: Callable[..., Facts]) -> None:
    assert make_facts().model_dump_json(exclude={"run"}) == make_facts().model_dump_json(exclude={"run"})


def test_facts__refuse_a_newer_format(make_facts: Callable[..., Facts]) -> None:
    newer = make_facts().model_dump(mode="json") | {"format_version": 2}
    with pytest.raises(ValidationError, match="format_version"):
        Facts.model_validate(newer)


def test_schema__is_current() -> None:
    assert json.loads(SCHEMA.read_text()) == Facts.model_json_schema(), "run `make schema`"
