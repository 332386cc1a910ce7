"""Rates of several ways to do the same work, measured in turns, so that a busy machine slows all alike."""

import statistics
import time
from collections.abc import Callable, Mapping


def rates(ways: Mapping[str, Callable[[], object]], *, count: int, repeats: int) -> dict[str, float]:
    """Return units a second of each way: the median over `repeats` rounds, after one that warms up.

    Each call does `count` units of work. A round runs every way once, in the given order.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    return {name: count / statistics.median(taken[1:]) for name, taken in seconds.items()}
