"""The embedding in two dimensions."""

from typing import ClassVar, Literal

from worker.blocks import Block, Figure, Text
from worker.facts import Facts
from worker.facts import Scatter as ScatterFacts
from worker.rendering import figures
from worker.rendering.picture_map import picture_map
from worker.rendering.text import count, percent
from worker.section import Pictures, Section


class Scatter(Section):
    """Input against selected, and the same plane with pictures."""

    type: Literal["scatter"] = "scatter"
    title: ClassVar[str] = "The embedding in two dimensions"
    order: ClassVar[int] = 30

    def blocks(self, facts: Facts, pictures: Pictures) -> tuple[Block, ...]:
        """Return the plot, the pictures where there are any, and how far the plot can be trusted."""
        found = facts.analysis.scatter
        if not found.input and not found.datapool:
            return ()
        share = sum(found.explained)
        points = Figure(
            media_type="image/svg+xml",
            body=figures.scatter(found),
            alt=f"Scatter plot of {count(found.input_total)} input"
            + (f", {count(found.datapool_total)} datapool" if found.datapool_total else "")
            + f" and {count(found.selected_total)} selected samples on the two main axes of the embedding.",
            caption=f"Every point is a sample; samples that look alike to the model lie close together.{_drawn(found)}",
            data="analysis.scatter",
        )
        trust = Text(
            "Clusters, outliers and imbalances show here at a glance. The axes are the two main principal components "
            f"of the pool and hold {percent(share)} of the variance: two samples that lie together in the plot can "
            f"still be far apart in the {facts.embedding.dimension} dimensions in which every distance in this "
            "report is measured.",
            muted=True,
        )
        placed = picture_map(found, pictures)
        if placed is None:
            return (points, trust)
        return (points, trust, _with_pictures(found, placed))


def _with_pictures(found: ScatterFacts, body: bytes) -> Figure:
    return Figure(
        media_type="image/jpeg",
        body=body,
        alt=f"Pictures of up to {len(found.examples)} samples placed on the same two axes.",
        caption="The same plane with pictures of samples that lie far apart; a line leads from a picture to its "
        "place. Blue frame: selected. Grey frame: not selected.",
        data="analysis.scatter.examples",
    )


def _drawn(found: ScatterFacts) -> str:
    parts = [
        f"{count(len(shown))} of {count(total)} {name}"
        for name, shown, total in (
            ("input", found.input, found.input_total),
            ("datapool", found.datapool, found.datapool_total),
            ("selected", found.selected, found.selected_total),
        )
        if len(shown) < total
    ]
    return f" A seeded draw is shown: {' and '.join(parts)} samples." if parts else ""
