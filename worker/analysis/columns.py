"""Measures and metadata before and after the selection."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.analysis.distances import Rows
from worker.analysis.statistics import counts, edges, metrics
from worker.facts import CategoryFacts, MeasureFacts

MAX_CATEGORIES = 12
MEASURE_BINS = 30


@dataclass(frozen=True, slots=True)
class NumericColumn:
    """A number for each pool row: (n,) float64, NaN where there is none. `seen` says which pixels it came from."""

    name: str
    label: str
    unit: str
    seen: str
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TextColumn:
    """A short text for each pool row, None where there is none."""

    name: str
    label: str
    values: Sequence[str | None]


def measure_facts(column: NumericColumn, *, inputs: Rows, selected: Rows) -> MeasureFacts:
    """Describe a numeric column for the input rows and for the selected ones, over the same bins."""
    values = column.values[inputs]
    known = values[np.isfinite(values)]
    picked = column.values[selected]
    picked = picked[np.isfinite(picked)]
    bins = edges(float(known.min()), float(known.max()), bins=MEASURE_BINS) if len(known) else edges(0, 1)
    return MeasureFacts(
        name=column.name,
        label=column.label,
        unit=column.unit,
        seen=column.seen,
        edges=bins,
        input=metrics(known),
        input_counts=counts(known, bins),
        selected=metrics(picked),
        selected_counts=counts(picked, bins),
        missing=len(values) - len(known),
    )


def category_facts(column: TextColumn, *, inputs: Rows, selected: Rows) -> CategoryFacts:
    """Count the most frequent texts among the input rows and among the selected ones; ties go by text."""
    everywhere = _counted(column.values, inputs)
    picked = _counted(column.values, selected)
    shown = sorted(everywhere, key=lambda value: (-everywhere[value], value))[:MAX_CATEGORIES]
    return CategoryFacts(
        name=column.name,
        label=column.label,
        values=tuple(shown),
        input_counts=tuple(everywhere[value] for value in shown),
        selected_counts=tuple(picked[value] for value in shown),
        input_other=everywhere.total() - sum(everywhere[value] for value in shown),
        selected_other=picked.total() - sum(picked[value] for value in shown),
    )


def _counted(values: Sequence[str | None], rows: Rows) -> Counter[str]:
    return Counter(value for row in rows.tolist() if (value := values[row]) is not None)
