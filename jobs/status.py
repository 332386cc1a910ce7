"""How far a job is: its stages, its states, its progress."""

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """The steps of a job, in order."""

    PLAN = "plan"
    EMBED = "embed"
    SELECT = "select"
    REPORT = "report"


class State(StrEnum):
    """What is true of a job as a whole."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one stage is, in its own units (sources, picks, pages).

    `total` is None while it is not known, `rate` is units a second, `eta_s` the seconds left, None if not known.
    """

    stage: Stage
    done: int
    total: int | None
    rate: float
    eta_s: float | None
