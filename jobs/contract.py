"""The base of everything that travels, and how its errors read to a person."""

import json
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Strict, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, PydanticCustomError

from jobs.errors import JobRejected

Whole = Annotated[int, Strict()]
"""An integer; the text "5", 5.0 and true are none."""
Number = Annotated[float, Strict()]
"""A finite number; the text "0.5" and true are none."""
Flag = Annotated[bool, Strict()]
"""True or false; neither 1 nor "yes"."""


class Contract(BaseModel):
    """A frozen part of a job. A key that it does not know is refused by name, with the closest one it knows."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        spelled = cls._spelled(given)
        for key in spelled:
            if key not in cls.model_fields and cls.model_config["extra"] == "forbid":
                raise refusal(_unknown_key(str(key), cls.model_fields), str(key))
        return spelled

    @classmethod
    def _spelled(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        return given


class CamelContract(Contract):
    """A part that LightlyOne publishes: each key may be written in snake_case or in camelCase, not in both."""

    @classmethod
    def _spelled(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        names = {to_camel(name): name for name in cls.model_fields}
        spelled: dict[str, Any] = {}
        for key, value in given.items():
            name = names.get(key, key)
            if name in spelled:
                raise refusal(f"{name!r} is given twice, in snake_case and in camelCase", key)
            spelled[name] = value
        return spelled


def refusal(text: str, *at: str | int) -> PydanticCustomError:
    """Return the error for a validator to raise; `at` leads from the model or field being checked to the culprit."""
    return PydanticCustomError("refused", "{text}", {"text": text, "at": at})


def rejected(error: ValidationError, given: Mapping[str, Any]) -> JobRejected:
    """Put a failed validation of `given` into one line: place as the user spells it, value, what is allowed."""
    first, *others = _own(error.errors(include_url=False))
    more = f" (and {len(others)} more)" if others else ""
    return JobRejected(_line(first, given) + more)


def closest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice that looks most like `word` whatever its case, or None where nothing comes near."""
    folded = {choice.casefold(): choice for choice in choices}
    match = get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return folded[match[0]] if match else None


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return a question to end an error with, or nothing where no choice comes near."""
    match = closest(word, choices)
    return f"; did you mean {match!r}?" if match else ""


def shown(value: Any, *, max_chars: int = 60) -> str:
    """Return a value on one line, shortened: text in quotes, anything else as JSON."""
    text = repr(value) if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= max_chars else f"{text[:max_chars]}..."


def _unknown_key(key: str, known: Iterable[str]) -> str:
    choices = sorted(known)
    return f"unknown key {shown(key)}" + (did_you_mean(key, choices) or f"; known are {', '.join(choices)}")


def _own(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    # pydantic also calls a list too short when it only dropped the wrong items.
    wrong_items = {error["loc"][:end] for error in errors for end in range(len(error["loc"]))}
    return [error for error in errors if error["type"] != "too_short" or error["loc"] not in wrong_items]


_TYPES = {
    "tuple_type": "should be a list",
    "dict_type": "should be an object",
    "model_type": "should be an object",
    "model_attributes_type": "should be an object",
    "int_type": "should be a whole number",
    "float_type": "should be a number",
    "bool_type": "should be true or false",
    "string_type": "should be text",
}


def _line(error: ErrorDetails, given: Mapping[str, Any]) -> str:
    context, value = error.get("ctx", {}), error["input"]
    at: tuple[str | int, ...] = context.get("at", ())
    match error["type"]:
        case "refused":
            says = context["text"]
        case "missing":
            says = "required, but missing"
        case "union_tag_not_found":
            at = (_quoted(context["discriminator"])[0],)
            says = "required, but missing"
        case "union_tag_invalid":
            at = (_quoted(context["discriminator"])[0],)
            says = _not_one_of(_quoted(context["expected_tags"]), value[at[0]])
        case "literal_error":
            says = _not_one_of(_quoted(context["expected"]), value)
        case "too_short" | "too_long" as length:
            least = length == "too_short"
            bound = context["min_length" if least else "max_length"]
            what = "character" if isinstance(value, str) else "item"
            says = f"should have {bound} {what}{'s' * (bound != 1)} at {'least' if least else 'most'}"
        case other:
            text = error["msg"].replace("Input should", "should").replace("String should", "should")
            says = f"{_TYPES.get(other, text)} (got {shown(value)})"
    return f"{_place(error['loc'], at, given)}: {says}"


def _not_one_of(choices: list[str], value: Any) -> str:
    hint = did_you_mean(value, choices) if isinstance(value, str) else ""
    one_of = "one of " if len(choices) > 1 else ""
    return f"should be {one_of}{', '.join(choices)} (got {shown(value)}){hint}"


def _quoted(text: str) -> list[str]:
    return re.findall(r"'([^']*)'", text)


def _place(loc: tuple[str | int, ...], at: tuple[str | int, ...], given: Mapping[str, Any]) -> str:
    """Walk what the user wrote along an error's location, to leave out what is not of the user's writing."""
    parts: list[str] = []
    value: Any = given
    for step, part in enumerate(loc + at):
        if isinstance(value, str) or (step < len(loc) and _is_tag(part, value)):
            continue
        key = _as_written(part, value)
        parts.append(str(key) if re.fullmatch(r"[\w-]+", str(key)) else shown(str(key)))
        value = _inside(value, key)
    return ".".join(parts) or "job"


def _is_tag(part: str | int, value: Any) -> bool:
    # pydantic puts the chosen member of a union into the location; ours are in capitals, no field is.
    return (
        isinstance(value, Mapping) and str(part).isupper() and part in (value.get("type"), value.get("name"))
    )


def _as_written(part: str | int, value: Any) -> str | int:
    if isinstance(value, Mapping) and isinstance(part, str) and part not in value and to_camel(part) in value:
        return to_camel(part)
    return part


def _inside(value: Any, key: str | int) -> Any:
    if isinstance(value, Mapping):
        return value.get(key)
    return value[key] if isinstance(value, list) and isinstance(key, int) else None
