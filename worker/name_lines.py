"""Sample names as the lines of selected.txt."""

import json
from collections.abc import Iterable


def to_lines(names: Iterable[str]) -> str:
    """Return one line a name: as it is, or as a JSON string where it has a control character or begins with a quote."""
    return "".join(f"{_line(name)}\n" for name in names)


def from_lines(text: str) -> list[str]:
    """Return the names that `to_lines` was given."""
    return [json.loads(line) if line.startswith('"') else line for line in text.split("\n") if line]


def _line(name: str) -> str:
    strange = name.startswith('"') or any(not char.isprintable() and char != " " for char in name)
    return json.dumps(name) if strange else name
