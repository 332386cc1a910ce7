import pytest
from pydantic import Field, ValidationError

from jobs.contract import CamelContract, Contract, Flag, Number, Whole, closest, rejected, shown


class Box(CamelContract):
    box_width: Number = Field(gt=0)


class Part(Contract):
    count: Whole = 1
    on: Flag = True
    boxes: tuple[Box, ...] = ()


def line(given: dict[str, object]) -> str:
    with pytest.raises(ValidationError) as caught:
        Part.model_validate(given)
    return str(rejected(caught.value, given))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"cuont": 1}, "cuont: unknown key 'cuont'; did you mean 'count'?"),
        ({"zzz": 1}, "zzz: unknown key 'zzz'; known are boxes, count, on"),
        ({"count": 1.0}, "count: should be a whole number (got 1.0)"),
        ({"count": None}, "count: should be a whole number (got null)"),
        ({"on": "yes"}, "on: should be true or false (got 'yes')"),
        ({"boxes": {"a": 1}}, 'boxes: should be a list (got {"a": 1})'),
        ({"boxes": [{"boxWidth": 1}, {"boxWidth": 0}]}, "boxes.1.boxWidth: should be greater than 0 (got 0)"),
        ({"boxes": [{"box_width": 0}]}, "boxes.0.box_width: should be greater than 0 (got 0)"),
        ({"boxes": [{}]}, "boxes.0.box_width: required, but missing"),
        ({"count": "a", "on": 1, "boxes": 2}, "count: should be a whole number (got 'a') (and 2 more)"),
    ],
)
def test_rejected__one_line_in_the_users_spelling(given: dict[str, object], says: str) -> None:
    assert line(given) == says


def test_rejected__one_wrong_item_is_one_error() -> None:
    class Crate(Contract):
        boxes: tuple[Box, ...] = Field(min_length=1)

    given = {"boxes": [{"box_width": 0}]}
    with pytest.raises(ValidationError) as caught:
        Crate.model_validate(given)
    assert str(rejected(caught.value, given)) == "boxes.0.box_width: should be greater than 0 (got 0)"


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_number__is_finite(number: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        Box(box_width=number)


def test_closest__whatever_the_case() -> None:
    assert closest("diversity", ["DIVERSITY", "WEIGHTS"]) == "DIVERSITY"
    assert closest("zzz", ["DIVERSITY", "WEIGHTS"]) is None


def test_shown__one_short_line() -> None:
    assert shown("a\nb") == r"'a\nb'"
    assert shown([1, None]) == "[1, null]"
    assert shown("x" * 100, max_chars=5) == "'xxxx..."
