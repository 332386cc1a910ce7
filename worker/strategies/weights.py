"""Prefer large values."""

import math

import numpy as np

from jobs.errors import JobRejected
from jobs.selection import Entry
from jobs.selection import Weights as Asked
from worker.selection.terms import Weights
from worker.strategy import Effect, Samples


def effect(entry: Entry, samples: Samples, *, at: str) -> Effect:
    """Return a term, and leave out samples without a value. Preselected samples without a usable one count as 0.

    Raises:
        JobRejected: a value of a sample that passed the thresholds is infinite or negative, which a sum of weights cannot rank.
    """
    asked = entry.strategy
    if not isinstance(asked, Asked):
        raise TypeError(f"{at}: expected a WEIGHTS, got {asked.type}")
    values = samples.values(entry, at=at)
    known = ~np.isnan(values)
    usable = np.isfinite(values) & (values >= 0)
    used = known & samples.passed
    wrong = used & ~usable
    if wrong.any():
        row = int(wrong.argmax())
        raise JobRejected(
            f"{at}.input: {samples.names[row]!r} has {values[row]:g}; weights should be finite and 0 or more:"
            " leave such samples out by a THRESHOLD"
        )
    weights = np.where(usable & samples.counted, values, 0.0)
    nothing = f"{at}: every weight is 0, so it ranks nothing."
    return Effect(
        keep=known,
        term=Weights(
            weights,
            strength=asked.strength,
            stop_at_sum=asked.stopping_condition_max_sum,
            target=_target(asked),
        ),
        missing_count=int(np.count_nonzero(~known & samples.passed)),
        detail=_detail(asked),
        warnings=(nothing,) if used.any() and not weights[used].any() else (),
    )


def _target(asked: Asked) -> tuple[float, float] | None:
    wanted = asked.target_range
    if wanted is None:
        return None
    return wanted.min_sum or 0.0, math.inf if wanted.max_sum is None else wanted.max_sum


def _detail(asked: Asked) -> str:
    parts = []
    if asked.stopping_condition_max_sum is not None:
        parts.append(f"stops when the sum reaches {asked.stopping_condition_max_sum:g}")
    if asked.target_range is not None:
        low, high = asked.target_range.min_sum, asked.target_range.max_sum
        least = f"{low:g} at least" if low is not None else ""
        most = f"{high:g} at most" if high is not None else ""
        parts.append(f"steers the sum to {' and '.join(part for part in (least, most) if part)}")
    return ", ".join(parts)
