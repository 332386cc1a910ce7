"""How much the samples of a set differ from each other."""

from typing import ClassVar, Literal

from worker.blocks import Block, Figure, Table, Text
from worker.facts import DistanceSet, Facts
from worker.rendering import explanations, figures
from worker.rendering.palette import LABEL_OF_SET
from worker.rendering.text import count, distance
from worker.section import Pictures, Section


class Diversity(Section):
    """Distance from each sample of a set to the closest other sample of the same set."""

    type: Literal["diversity"] = "diversity"
    title: ClassVar[str] = "Diversity"
    order: ClassVar[int] = 40

    def blocks(self, facts: Facts, pictures: Pictures) -> tuple[Block, ...]:
        """Return what is measured, the distribution and the table."""
        del pictures
        found = facts.analysis.diversity
        sets = [one for one in found.sets if one.samples]
        explained = Text(
            "Distances in the embedding say how different two samples look to the model. Diversity is the distance "
            "from each sample to its most similar other sample of the same set. A varied set helps a model to "
            "generalise; two samples that look the same carry the same information, and labelling one of them is "
            "enough. Higher is more diverse."
        )
        if not sets:
            return ()
        table = Table(
            caption=f"Euclidean distance in {facts.embedding.dimension} dimensions. {_estimates(sets)}".strip(),
            columns=("Set", "Samples", "Mean", "Std", "Min", "Median", "Max"),
            rows=tuple(_row(one) for one in sets),
            numeric=(1, 2, 3, 4, 5, 6),
        )
        if not any(one.measured for one in sets):
            return (explained, table)
        drawing = Figure(
            media_type="image/svg+xml",
            body=figures.distances(found, "Distance to the most similar other sample of the same set"),
            alt="Histograms of the diversity of " + ", ".join(_said(one) for one in sets) + ".",
            caption="Share of each set by distance, in the same bins. Mass on the left is redundancy.",
            data="analysis.diversity",
        )
        return (_sketch(), explained, drawing, table)


def _row(one: DistanceSet) -> tuple[str, ...]:
    found = one.metrics
    numbers = (found.mean, found.std, found.min, found.median, found.max) if found else (None,) * 5
    return (LABEL_OF_SET[one.name], count(one.samples), *(distance(number) for number in numbers))


def _said(one: DistanceSet) -> str:
    return f"{LABEL_OF_SET[one.name].lower()} (mean {distance(one.metrics.mean if one.metrics else None)})"


def _estimates(sets: list[DistanceSet]) -> str:
    parts = [
        f"{LABEL_OF_SET[one.name]}: measured on a seeded sample of {count(one.measured)}."
        for one in sets
        if one.name != "random" and 0 < one.measured < one.samples
    ]
    if any(one.name == "random" for one in sets):
        parts.append("Random: each number is the mean over the draws.")
    if any(one.name == "datapool" for one in sets):
        parts.append("Selected and random are measured towards the datapool as well.")
    return " ".join(parts)


def _sketch() -> Figure:
    return Figure(
        media_type="image/svg+xml",
        body=explanations.diversity(),
        alt="Sketch: grey input points, blue selected points, and a green line from each blue point to its closest "
        "blue neighbour.",
        caption="What is measured, on made-up points: the length of the green lines, from each selected point (blue) "
        "to its closest selected neighbour. Grey: input.",
        data="",
        width="half",
    )
