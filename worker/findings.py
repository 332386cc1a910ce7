"""What the select step hands to the report step."""

from dataclasses import dataclass
from typing import Any

from worker.facts import Counts


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that `Facts` holds except `run`, and the selected sample names in pick order."""

    content: dict[str, Any]
    counts: Counts
    selected: tuple[str, ...]
