"""Small pools as strategies look at them, for tests."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jobs.inputs import Query
from jobs.selection import Entry
from worker.categories import categorized
from worker.device import Device
from worker.strategy import Samples

CPU = Device("cpu", "CPU, 1 thread", 1)


def entry(given: Mapping[str, Any], strategy: Mapping[str, Any]) -> Entry:
    """Return an entry of a job's strategies."""
    return Entry.model_validate({"input": given, "strategy": strategy})


def pool(
    n: int,
    *,
    numbers: Mapping[str, Sequence[float]] | None = None,
    words: Mapping[str, Sequence[str | None]] | None = None,
    queries: Mapping[Query, np.ndarray] | None = None,
    passed: Sequence[bool] | None = None,
    seed: int = 0,
) -> Samples:
    """Return n samples a, b, c, ... (later ones numbered) with unit vectors of 4 numbers."""
    vectors = np.random.default_rng(5).normal(size=(n, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    letters = [chr(ord("a") + row) if row < 26 else f"z{row}" for row in range(n)]
    return Samples(
        names=letters,
        embeddings=vectors,
        numbers={key: np.array(values, np.float64) for key, values in (numbers or {}).items()},
        categories={key: categorized(values) for key, values in (words or {}).items()},
        queries=dict(queries or {}),
        passed=np.array([True] * n if passed is None else passed),
        seed=seed,
        device=CPU,
    )
