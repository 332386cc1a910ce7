"""Keep only what passes."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from jobs.selection import Entry, Threshold
from worker.strategy import Effect, Samples

_COMPARE: dict[str, Callable[[Any, float], Any]] = {
    "SMALLER": operator.lt,
    "SMALLER_EQUAL": operator.le,
    "BIGGER": operator.gt,
    "BIGGER_EQUAL": operator.ge,
}


def effect(entry: Entry, samples: Samples, *, at: str) -> Effect:
    """Return the samples whose value passes; one without a value does not."""
    asked = entry.strategy
    if not isinstance(asked, Threshold):
        raise TypeError(f"{at}: expected a THRESHOLD, got {asked.type}")
    values = samples.values(entry, at=at)
    return Effect(
        keep=_COMPARE[asked.operation](values, asked.threshold),
        missing_count=int(np.count_nonzero(np.isnan(values) & samples.own)),
        detail=f"{asked.operation} {asked.threshold:g}",
    )
