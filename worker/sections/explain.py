"""Why each of the first picks was picked."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from worker.blocks import Block, Table, Text
from worker.facts import Facts, ObjectiveStep, Pick
from worker.rendering.text import count, distance, quantity, shortened
from worker.section import Pictures, Section

_SHOWN = 12
_NAME_LIMIT = 34
_STRATEGIES_A_TABLE = 3


class Explain(Section):
    """The first picks with their neighbours, and what each did for every strategy."""

    type: Literal["explain"] = "explain"
    title: ClassVar[str] = "Why these picks"
    order: ClassVar[int] = 85

    def blocks(self, facts: Facts, pictures: Pictures) -> tuple[Block, ...]:
        """Return what is listed, the neighbours and the objectives; nothing without a pick that has a neighbour."""
        del pictures
        picks = facts.analysis.picks[:_SHOWN]
        if all(pick.nearest_kept is None and pick.nearest_dropped is None for pick in picks):
            return ()
        neighbours = _neighbours(picks)
        text = Text(
            f"The first {count(len(picks))} picks; samples.parquet has the same for every pick. New by: distance to "
            "everything kept before it. Nearest kept, nearest left out: the closest other sample that was kept, and "
            "the closest that was not and that this pick stands for."
        )
        return (text, neighbours, *(_objectives(picks) if len(facts.analysis.outcomes) > 1 else ()))


def _neighbours(picks: Sequence[Pick]) -> Table:
    decided = any(pick.decided_by for pick in picks)
    return Table(
        caption="The picks and their neighbours, with distances.",
        columns=(
            "Pick",
            "New by",
            "Nearest kept",
            "Nearest left out",
            *(("Decided by",) if decided else ()),
        ),
        rows=tuple(
            (
                f"{count(pick.step)}. {shortened(pick.sample, _NAME_LIMIT)}",
                distance(pick.distance),
                _near(pick.nearest_kept, pick.nearest_kept_distance),
                _near(pick.nearest_dropped, pick.nearest_dropped_distance),
                *((shortened(pick.decided_by or "none", _NAME_LIMIT),) if decided else ()),
            )
            for pick in picks
        ),
        numeric=(1,),
    )


def _near(name: str | None, apart: float | None) -> str:
    return "none" if name is None else f"{distance(apart)} {shortened(name, _NAME_LIMIT)}"


def _objectives(picks: Sequence[Pick]) -> tuple[Block, ...]:
    leads = any(one.lead is not None for pick in picks for one in pick.objectives)
    strategies = len(picks[0].objectives)
    parts = [slice(first, first + _STRATEGIES_A_TABLE) for first in range(0, strategies, _STRATEGIES_A_TABLE)]
    tables = tuple(
        Table(
            caption="Objective of each strategy before and after the pick"
            + (", and in brackets the pick's lead." if leads else "."),
            columns=("Pick", *(shortened(one.strategy, _NAME_LIMIT) for one in picks[0].objectives[part])),
            rows=tuple((count(pick.step), *(_step(one) for one in pick.objectives[part])) for pick in picks),
        )
        for part in parts
    )
    reading = Text(
        "Lead: strength times how far the logarithm of the objective with this pick (of its own gain, where the job "
        "multiplies gains) is above its mean with candidates that were not picked yet, on a seeded sample of them. The "
        "leads of a pick add up to its lead in the product that is maximised, so the strategy with the largest one "
        "decided the pick; a negative lead is what it gave up for that.",
        muted=True,
    )
    return (*tables, reading) if leads else tables


def _step(one: ObjectiveStep) -> str:
    text = f"{quantity(one.before)} → {quantity(one.after)}"
    return text if one.lead is None else f"{text} ({one.lead:+.3f})"
