"""Prefer large values."""

import numpy as np

from jobs.errors import JobRejected
from jobs.selection import Entry
from worker.selection.objectives import Weights
from worker.strategy import Columns, Effect


def effect(entry: Entry, columns: Columns, *, at: str) -> Effect:
    """Return a term, and leave out samples without a value.

    Raises:
        JobRejected: a value is infinite or negative, which a sum of weights cannot rank.
    """
    values = columns.of(entry, at=at)
    known = ~np.isnan(values)
    wrong = known & ~(np.isfinite(values) & (values >= 0))
    if wrong.any():
        row = int(wrong.argmax())
        raise JobRejected(
            f"{at}.input: {columns.names[row]!r} has {values[row]:g}; weights should be finite and 0 or more"
        )
    return Effect(
        keep=known,
        term=Weights(np.where(known, values, 0.0), strength=entry.strategy.strength),
        missing_count=int(np.count_nonzero(~known)),
    )
