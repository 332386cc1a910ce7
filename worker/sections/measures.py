"""What pixels and metadata say about the input and about the selection."""

from typing import ClassVar, Literal

from worker.blocks import Block, Figure, Figures, Table, Text
from worker.facts import CategoryFacts, Facts, MeasureFacts, Metrics
from worker.rendering import figures
from worker.rendering.text import count, percent, quantity, shortened
from worker.section import Pictures, Section


class Measures(Section):
    """Every measure before and after the selection."""

    type: Literal["measures"] = "measures"
    title: ClassVar[str] = "Measures and metadata"
    order: ClassVar[int] = 90

    def blocks(self, facts: Facts, pictures: Pictures) -> tuple[Block, ...]:
        """Return a table, a small histogram for each number, and a table for each text column."""
        del pictures
        measures, categories = facts.analysis.measures, facts.analysis.categories
        blocks: list[Block] = []
        if measures:
            blocks = [
                Text(
                    "Blue is the selection, grey the input. A shift says what the selection prefers or avoids."
                ),
                Figures(tuple(_figure(one) for one in measures)),
                Table(
                    caption="Mean, median and range of each measure, in its unit.",
                    columns=("Measure", "Unit", "Taken from", "Set", "Mean", "Median", "Min", "Max"),
                    rows=tuple(row for one in measures for row in _rows(one)),
                    numeric=(4, 5, 6, 7),
                ),
            ]
        return (*blocks, *(_categories(one) for one in categories))


def _figure(one: MeasureFacts) -> Figure:
    missing = f" {count(one.missing)} input samples have no value." if one.missing else ""
    return Figure(
        media_type="image/svg+xml",
        body=figures.measure(one),
        alt=f"Histograms of {one.label}: input mean {quantity(_mean(one.input))}, selected mean "
        f"{quantity(_mean(one.selected))} {one.unit}.",
        caption=f"{one.label}.{missing}",
        data="",
        width="half",
    )


def _rows(one: MeasureFacts) -> tuple[tuple[str, ...], ...]:
    return (
        (one.label, one.unit, one.seen, "Input", *_numbers(one.input)),
        ("", "", "", "Selected", *_numbers(one.selected)),
    )


def _numbers(found: Metrics | None) -> tuple[str, ...]:
    if found is None:
        return ("n/a",) * 4
    return tuple(quantity(number) for number in (found.mean, found.median, found.min, found.max))


def _mean(found: Metrics | None) -> float | None:
    return found.mean if found else None


def _categories(one: CategoryFacts) -> Table:
    inputs = sum(one.input_counts) + one.input_other
    picked = sum(one.selected_counts) + one.selected_other
    rows = [
        (shortened(value, 80), a, b)
        for value, a, b in zip(one.values, one.input_counts, one.selected_counts, strict=True)
    ]
    if one.input_other:
        rows.append(("all other values", one.input_other, one.selected_other))
    return Table(
        caption=f"{one.label}: how often each value occurs.",
        columns=("Value", "Input", "Share", "Selected", "Share"),
        rows=tuple(
            (
                value,
                count(a),
                percent(a / inputs if inputs else None),
                count(b),
                percent(b / picked if picked else None),
            )
            for value, a, b in rows
        ),
        numeric=(1, 2, 3, 4),
    )
