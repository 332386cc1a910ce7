"""Five numbers, percentiles and bins of a set of values."""

import numpy as np
from numpy.typing import NDArray

from worker.facts import Metrics, Percentiles

BINS = 40


def metrics(values: NDArray[np.float64]) -> Metrics | None:
    """Return mean, population std, min, median and max of (n,) values, or None for none."""
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    # The mean of equal values can round beyond them; a reader would wonder.
    mean = min(max(float(values.mean()), low), high)
    return Metrics(mean=mean, std=float(values.std()), min=low, median=float(np.median(values)), max=high)


def percentiles(values: NDArray[np.float64]) -> Percentiles | None:
    """Return linearly interpolated percentiles of (n,) values, or None for none."""
    if not len(values):
        return None
    p50, p90, p95, p99 = (float(p) for p in np.percentile(values, (50, 90, 95, 99)))
    return Percentiles(p50=p50, p90=p90, p95=p95, p99=p99)


def edges(low: float, high: float, *, bins: int = BINS) -> tuple[float, ...]:
    """Return bins + 1 edges, evenly spaced from low to high; a range without width gets one."""
    if not high > low:
        low, high = (low, low + 1.0) if low >= 0 else (low - 0.5, low + 0.5)
    return tuple(float(edge) for edge in np.linspace(low, high, bins + 1))


def counts(values: NDArray[np.float64], edges: tuple[float, ...]) -> tuple[int, ...]:
    """Count (n,) values in each bin; every value must lie within the edges, the last bin includes its end."""
    found, _ = np.histogram(values, bins=np.asarray(edges))
    return tuple(int(count) for count in found)
