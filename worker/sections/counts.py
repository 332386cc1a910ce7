"""How many there were at each step, from the listing to the selection."""

from typing import ClassVar, Literal

from worker.blocks import Block, Figure, Text
from worker.facts import Facts
from worker.rendering import figures
from worker.rendering.text import count, plural
from worker.section import Pictures, Section


class Counts(Section):
    """A waterfall of numbers that add up."""

    type: Literal["counts"] = "counts"
    title: ClassVar[str] = "From the listing to the selection"
    order: ClassVar[int] = 20

    def blocks(self, facts: Facts, pictures: Pictures) -> tuple[Block, ...]:
        """Return the drawing and what was left out."""
        del pictures
        counts = facts.counts
        skipped = sum(counts.skipped.values())
        left_out = (
            f"{count(counts.ignored)} neither an image nor a video by name, "
            + (f"{count(counts.earlier)} finished with by earlier jobs, " if counts.earlier else "")
            + f"{count(skipped)} skipped, "
            + (
                f"{count(counts.near_identical)} near identical to the frame before, "
                if counts.near_identical
                else ""
            )
            + f"{plural(counts.duplicates, 'exact duplicate')}, {count(counts.dropped)} outside a threshold or without a value"
            + (f", {count(counts.protected)} too near to a protected sample" if counts.protected else "")
        )
        blocks: list[Block] = [
            Figure(
                media_type="image/svg+xml",
                body=figures.waterfall(counts),
                alt=f"{count(counts.listed)} objects listed; {left_out}; {count(counts.candidates)} candidates; "
                f"{count(counts.selected)} selected.",
                caption=f"Left out on the way: {left_out}.",
                data="counts",
            )
        ]
        if counts.preselected:
            kept = plural(counts.preselected, "sample")
            together = plural(counts.preselected + counts.selected, "sample")
            blocks.append(
                Text(
                    f"The datapool holds {kept} kept by earlier jobs; the selection complements them. Together they are"
                    f" {together}."
                )
            )
        return tuple(blocks)
