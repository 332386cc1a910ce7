"""Similarity: how close a sample lies to the nearest of some query vectors."""

import numpy as np
from numpy.typing import NDArray

from worker.device import Device
from worker.selection.neighbours import nearest
from worker.selection.terms import Objects

Vectors = NDArray[np.float32]
Values = NDArray[np.float64]


def similarity(vectors: Vectors, queries: Vectors, *, device: Device, memory_bytes: int = 2**26) -> Values:
    """Return (n,) values exp(-distance / D) in (0, 1], for (n, d) vectors and their nearest of (q, d) queries.

    D is the mean of these n distances (the rule of LightlyStudio's selection engine, by observation), so values
    depend on all the vectors given. Where every distance is 0, all values are 1. Distances are exact.

    Memory: as `nearest`.

    Raises:
        ValueError: no query, another dimension, or a number that is not finite.
    """
    if not len(queries):
        raise ValueError("queries: at least 1 is needed to be similar to, got 0")
    distances = nearest(vectors, queries, 1, device=device, memory_bytes=memory_bytes)[0][:, 0]
    mean = float(distances.mean()) if len(distances) else 0.0
    return np.exp(-distances / mean) if mean > 0 else np.ones(len(distances))


def similarity_of_objects(
    objects: Objects, n: int, queries: Vectors, *, device: Device, memory_bytes: int = 2**26
) -> Values:
    """Return for each of n samples the largest similarity among its objects, and 0 if it has none."""
    values = np.zeros(n)
    found = similarity(objects.embeddings, queries, device=device, memory_bytes=memory_bytes)
    np.maximum.at(values, objects.owners, found)
    return values
