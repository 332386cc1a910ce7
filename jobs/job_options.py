"""Builds a job from the options of the command line, or changes keys of one that was given."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jobs.errors import JobRejected
from jobs.text import read_object

NEEDED = {
    "datasource.input": "--input",
    "datasource.output": "--output",
    "selection.n_samples": "--n-samples",
}
DEFAULT_NAME = "selection"
DIVERSITY = {"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}}


def job_document(
    text: bytes | None, *, options: Mapping[str, Any], assignments: Sequence[str]
) -> dict[str, Any]:
    """Return the job as JSON values: the file's, or a selection by diversity, with options and assignments applied.

    `options` maps dotted keys to values; `assignments` are `key=value` with a value in JSON, or text where it is none.

    Raises:
        JobRejected: a needed option is missing, or an assignment cannot be applied.
    """
    if text is None:
        missing = [option for key, option in NEEDED.items() if key not in options]
        if missing:
            raise JobRejected(
                f"give a JOB.json, or {', '.join(NEEDED.values())} (missing: {', '.join(missing)})"
            )
        document: dict[str, Any] = {
            "kind": "selection",
            "name": DEFAULT_NAME,
            "selection": {"strategies": [DIVERSITY]},
        }
    else:
        document = read_object(text)
    for key, value in options.items():
        _set(document, key, value)
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key:
            raise JobRejected(f"--set: {assignment!r} should be KEY=VALUE, e.g. embedding.dimension=64")
        _set(document, key, _value(value))
    return document


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
    except RecursionError as error:
        raise JobRejected("--set: nested too deeply") from error


def _set(document: dict[str, Any], key: str, value: Any) -> None:
    """Set `a.b.0.c`; objects on the way are made, list items must be there."""
    place: Any = document
    *parents, last = key.split(".")
    for depth, part in enumerate([*parents, last]):
        at = ".".join(key.split(".")[: depth + 1])
        if isinstance(place, list):
            if not part.isdecimal() or int(part) >= len(place):
                raise JobRejected(f"--set: {at}: there are {len(place)} items, numbered from 0")
            step: Any = int(part)
        elif isinstance(place, dict):
            step = part
        else:
            raise JobRejected(
                f"--set: {at}: {'.'.join(key.split('.')[:depth])} is {place!r}, which has no keys"
            )
        if depth == len(parents):
            place[step] = value
        else:
            place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
