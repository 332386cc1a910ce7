"""Reads the text of a job: plain JSON, bounded, nothing twice."""

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from jobs.contract import shown
from jobs.errors import JobRejected

MAX_JOB_BYTES = 2**20
MAX_DEPTH = 32


def read_object(text: str | bytes | Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON object in `text`; a mapping is first written as JSON, so that both are held to the same rules.

    Raises:
        JobRejected: too large, nested too deeply, not UTF-8, not JSON (with line and column), not an object, a key given twice,
            or a number that is not finite.
    """
    try:
        found = json.loads(
            _bounded(_written(text) if isinstance(text, Mapping) else text),
            object_pairs_hook=_each_key_once,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except json.JSONDecodeError as error:
        raise JobRejected(
            f"job: not JSON at line {error.lineno}, column {error.colno}: {error.msg}"
        ) from error
    except RecursionError as error:
        raise JobRejected(_TOO_DEEP) from error
    except ValueError as error:
        raise error if isinstance(error, JobRejected) else JobRejected(f"job: {error}") from error
    if _is_deeper(found, levels=MAX_DEPTH):
        raise JobRejected(_TOO_DEEP)
    if not isinstance(found, dict):
        raise JobRejected(f"job: should be a JSON object (got {shown(found)})")
    return found


_TOO_DEEP = f"job: nested more than {MAX_DEPTH} levels deep"


def _is_deeper(value: Any, *, levels: int) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    if inside is None:
        return False
    return levels == 0 or any(_is_deeper(item, levels=levels - 1) for item in inside)


def _written(given: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(given), allow_nan=False)
    except RecursionError as error:
        raise JobRejected(_TOO_DEEP) from error
    except (TypeError, ValueError) as error:
        raise JobRejected(f"job: cannot be written as JSON: {error}") from error


def _bounded(text: str | bytes) -> str:
    body = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    if len(body) > MAX_JOB_BYTES:
        raise JobRejected(f"job: {len(body)} bytes; at most {MAX_JOB_BYTES} are allowed")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise JobRejected(f"job: not UTF-8 at byte {error.start}") from error


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise JobRejected(f"job: the key {shown(key)} is given twice in one object")
        found[key] = value
    return found


def _no_constant(name: str) -> NoReturn:
    raise JobRejected(f"job: {name} is not a JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise JobRejected(f"job: the number {shown(digits)} is too large")
    return number
