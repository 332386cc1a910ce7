"""How well the selection stands for everything in the input."""

from typing import ClassVar, Literal

from worker.blocks import Block, Figure, Table, Text
from worker.facts import DistanceSet, Facts
from worker.rendering import explanations, figures
from worker.rendering.palette import LABEL_OF_SET
from worker.rendering.text import count, distance
from worker.section import Pictures, Section

_ALONE = (
    "Selected: to the closest new pick, as if there were no datapool. Selected with datapool: to the closest sample of "
    "both; the gain over the datapool alone is what this selection adds."
)


class Coverage(Section):
    """Distance from each input sample to the closest sample of a set."""

    type: Literal["coverage"] = "coverage"
    title: ClassVar[str] = "Coverage"
    order: ClassVar[int] = 50

    def blocks(self, facts: Facts, pictures: Pictures) -> tuple[Block, ...]:
        """Return what is measured, the distribution and the table."""
        del pictures
        found = facts.analysis.coverage
        sets = [one for one in found.sets if one.measured]
        if not sets:
            return ()
        explained = Text(
            "The coverage distance goes from each input sample to its closest selected sample. Where it is low, every "
            "input sample is represented by one that looks similar. A long tail to the right means that some input "
            "has no close representative, and a model trained on the selection may do badly there. Lower is better."
        )
        theory = Text(
            "Under certain conditions the largest of these distances bounds how much worse a model trained on the "
            "selection can be than one trained on the whole input (O. Sener and S. Savarese, Active Learning for "
            "Convolutional Neural Networks: A Core-Set Approach, 2017, theorem 1).",
            muted=True,
        )
        drawing = Figure(
            media_type="image/svg+xml",
            body=figures.distances(found, "Distance from an input sample to the closest sample of the set"),
            alt="Histograms of the coverage distance for " + ", ".join(_said(one) for one in sets) + ".",
            caption="Share of the input samples by distance, in the same bins. "
            + (_ALONE if _with_datapool(sets) else "A picked sample has distance 0."),
            data="analysis.coverage",
        )
        baseline = facts.analysis.baseline
        estimate = (
            f" Random: measured on {count(baseline.measured_rows)} of {count(baseline.input_rows)} input samples, "
            "so its largest distance is a lower estimate."
            if baseline.measured_rows < baseline.input_rows
            else ""
        )
        datapool = (
            " Random includes the datapool: compare it with both together." if _with_datapool(sets) else ""
        )
        table = Table(
            caption=f"Euclidean distance in {facts.embedding.dimension} dimensions. Random: each number is the mean "
            f"over the draws.{estimate}{datapool}",
            columns=("Set", "Samples", "Mean", "Median", "p90", "p95", "p99", "Max"),
            rows=tuple(_row(one) for one in sets),
            numeric=(1, 2, 3, 4, 5, 6, 7),
        )
        return (_sketch(), explained, theory, drawing, table)


def _with_datapool(sets: list[DistanceSet]) -> bool:
    return any(one.name == "datapool" for one in sets)


def _row(one: DistanceSet) -> tuple[str, ...]:
    found, tail = one.metrics, one.percentiles
    numbers = (
        (found.mean, found.median, tail.p90, tail.p95, tail.p99, found.max) if found and tail else (None,) * 6
    )
    return (LABEL_OF_SET[one.name], count(one.samples), *(distance(number) for number in numbers))


def _said(one: DistanceSet) -> str:
    return f"{LABEL_OF_SET[one.name].lower()} (mean {distance(one.metrics.mean if one.metrics else None)})"


def _sketch() -> Figure:
    return Figure(
        media_type="image/svg+xml",
        body=explanations.coverage(),
        alt="Sketch: grey input points, each joined by a line to the closest of the blue selected points.",
        caption="What is measured, on made-up points: the length of the lines, from each input point (grey) to its "
        "closest selected point (blue).",
        data="",
        width="half",
    )
