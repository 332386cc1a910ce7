"""Counters of a deployment since its Redis was made: what the metrics tell, kept by the workers as they go."""

from collections.abc import Mapping

from jobs.queue import StepKind

BUCKETS_S = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 10_800)
"""Upper bounds of the histogram of step times, in seconds."""


def step_totals(kind: StepKind, seconds: float) -> dict[str, float]:
    """Return what one finished step adds: `steps|<kind>`, `seconds|<kind>`, and the buckets `le|<kind>|<bound>` it falls in."""
    buckets = {f"le|{kind}|{bound:g}": 1.0 for bound in BUCKETS_S if seconds <= bound}
    return {f"steps|{kind}": 1.0, f"seconds|{kind}": seconds, **buckets}


def skipped_totals(skipped: Mapping[str, int]) -> dict[str, float]:
    """Return what skipped sources add: `skipped|<reason>`."""
    return {f"skipped|{reason}": float(count) for reason, count in skipped.items()}
