"""What a selection was asked for, under names that people know. Values only."""

from dataclasses import dataclass

from worker.facts import EndedName
from worker.selection.rules import Quota, Windows
from worker.selection.terms import Mode, Term


@dataclass(frozen=True, slots=True)
class Goal:
    """A term under the name of its strategy, unique in a job; `classes` names the columns of a balance's shares."""

    name: str
    term: Term
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NamedQuota:
    """A quota with the metadata key that it counts and the names of its (v,) values."""

    key: str
    values: tuple[str, ...]
    quota: Quota


@dataclass(frozen=True, slots=True)
class Goals:
    """All that decided a selection beside the thresholds, and why it ended before its size was reached, if it did.

    `terms` rank, in the order of the job; none means a uniform draw. `protected_count` candidates were too near to a
    protected sample. `windows` are the sequences that could be picked, where only whole ones are.
    """

    terms: tuple[Goal, ...] = ()
    quotas: tuple[NamedQuota, ...] = ()
    mode: Mode = "objective_product"
    protected_count: int = 0
    ended: EndedName | None = None
    windows: Windows | None = None

    @property
    def length(self) -> int:
        """How many samples are picked together: those of a sequence, or one."""
        return 1 if self.windows is None else self.windows.length
