"""Keep only what passes."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from jobs.selection import Entry, Threshold
from worker.strategy import Columns, Effect

_COMPARE: dict[str, Callable[[Any, float], Any]] = {
    "SMALLER": operator.lt,
    "SMALLER_EQUAL": operator.le,
    "BIGGER": operator.gt,
    "BIGGER_EQUAL": operator.ge,
}


def effect(entry: Entry, columns: Columns, *, at: str) -> Effect:
    """Return the samples whose value passes; one without a value does not."""
    if not isinstance(entry.strategy, Threshold):
        raise TypeError(f"{at}: expected a THRESHOLD, got {entry.strategy.type}")
    values = columns.of(entry, at=at)
    passes = _COMPARE[entry.strategy.operation](values, entry.strategy.threshold)
    return Effect(keep=passes, missing_count=int(np.count_nonzero(np.isnan(values))))
