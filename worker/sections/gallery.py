"""The first picks."""

from typing import ClassVar, Literal

from worker.blocks import Block, PictureGrid, Text
from worker.facts import Facts
from worker.rendering.pictured import pictured
from worker.rendering.text import count
from worker.section import Pictures, Section


class Gallery(Section):
    """Pictures of the first picks, in pick order."""

    type: Literal["gallery"] = "gallery"
    title: ClassVar[str] = "The first picks"
    order: ClassVar[int] = 80

    def blocks(self, facts: Facts, pictures: Pictures) -> tuple[Block, ...]:
        """Return a grid of pictures, or of names where there are none."""
        picks = facts.analysis.picks
        if not picks:
            return ()
        shown = f"The first {count(len(picks))} of {count(facts.counts.selected)} picks, in pick order; "
        return (
            Text(f"{shown}selected.txt lists all of them."),
            PictureGrid(
                tuple(pictured(facts, pictures, pick.sample, note=f"{pick.step}.") for pick in picks)
            ),
        )
