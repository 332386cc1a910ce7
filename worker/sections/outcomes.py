"""What each strategy got, beside what it would have got alone."""

from typing import ClassVar, Literal

from worker.blocks import Block, Table, Text
from worker.facts import Facts, Outcome
from worker.rendering.text import count, percent, quantity, shortened
from worker.section import Pictures, Section

_MODES = {
    "objective_product": "",
    "gain_product": " The selection maximised the product of each pick's own gains; the objectives are those of the "
    "whole selection all the same.",
    "submodular": " The selection maximised a weighted sum of submodular functions; the objectives are those of the "
    "whole selection all the same.",
}


class Outcomes(Section):
    """The price of combining strategies."""

    type: Literal["outcomes"] = "outcomes"
    title: ClassVar[str] = "What each strategy got"
    order: ClassVar[int] = 62

    def blocks(self, facts: Facts, pictures: Pictures) -> tuple[Block, ...]:
        """Return a table; nothing for a single strategy, which has no rival."""
        del pictures
        found = facts.analysis.outcomes
        if len(found) < 2:
            return ()
        decided = any(one.decided for one in found)
        table = Table(
            caption="Objective of the whole selection by strategy, and of one made by that strategy alone.",
            columns=("Strategy", "Strength", "Reached", "Alone", "Share", *(("Decided",) if decided else ())),
            rows=tuple(_row(one, decided=decided) for one in found),
            numeric=(1, 2, 3, 4, 5),
        )
        reasons = [
            f"{shortened(one.strategy, 60)}: nothing to compare with, because {one.not_compared}."
            for one in found
            if one.not_compared
        ]
        return (
            Text(
                "Strategies that pull in different directions cost each other something. Share says how much of what a "
                "strategy could have by itself it got beside the others"
                + ("; Decided, how many picks it decided." if decided else ".")
                + _MODES[facts.analysis.mode]
            ),
            table,
            Text(
                " ".join(
                    (
                        "Objectives: for diversity the sum of squared distances from each pick to its closest other pick, for "
                        "weights the sum of the weights, for balance 1 / cross-entropy of the target and the achieved "
                        "shares. Alone means a greedy selection of the same size from the same candidates, without quotas "
                        "and stops; greedy is not the best possible, so a share can exceed 100 %.",
                        *reasons,
                    )
                ),
                muted=True,
            ),
        )


def _row(one: Outcome, *, decided: bool) -> tuple[str, ...]:
    return (
        shortened(one.strategy, 60),
        f"{one.strength:g}",
        quantity(one.objective),
        quantity(one.alone),
        percent(one.share_of_alone),
        *((("n/a" if one.decided is None else count(one.decided)),) if decided else ()),
    )
