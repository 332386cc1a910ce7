"""Typicality: how close a sample lies to its nearest neighbours. High in dense regions, low for outliers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.device import Device
from worker.selection.neighbours import EXACT_UP_TO, neighbourhoods
from worker.selection.terms import Objects

NEIGHBOURS = 20

Vectors = NDArray[np.float32]
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Typicality:
    """(n,) values in (0, 1], objects aside where 0 means none; the neighbours each was seen against; and the search.

    `recall` is 1 where the search was exact; `note` says in words how it was done.
    """

    values: Values
    neighbours: int
    recall: float
    note: str


def typicality(
    vectors: Vectors,
    *,
    device: Device,
    k: int = NEIGHBOURS,
    approximate_above: int = EXACT_UP_TO,
    memory_bytes: int = 2**26,
) -> Typicality:
    """Return for each of (n, d) vectors the mean over its k nearest others of exp(-distance / D).

    D is the mean of all n * k such distances (the rule of LightlyStudio's selection engine, by observation). Only the vectors
    given are neighbours: give candidates, or the whole pool. k is lowered to n - 1. Where D is 0, or a vector is
    alone, the value is 1.

    Memory: as `neighbourhoods`.

    Raises:
        ValueError: k is below 1, or a number is not finite.
    """
    if k < 1:
        raise ValueError(f"k should be at least 1, got {k}")
    if len(vectors) < 2:
        return Typicality(np.ones(len(vectors)), 0, 1.0, "exact")
    found = neighbourhoods(
        vectors, k, device=device, approximate_above=approximate_above, memory_bytes=memory_bytes
    )
    distances = found.distances
    mean = float(distances.mean())
    values = np.exp(-distances / mean).mean(axis=1) if mean > 0 else np.ones(len(distances))
    return Typicality(values, distances.shape[1], found.recall, found.note)


def typicality_of_objects(
    objects: Objects,
    n: int,
    *,
    device: Device,
    k: int = NEIGHBOURS,
    approximate_above: int = EXACT_UP_TO,
    memory_bytes: int = 2**26,
) -> Typicality:
    """Return for each of n samples the mean typicality of its objects among all objects, and 0 if it has none."""
    found = typicality(
        objects.embeddings,
        device=device,
        k=k,
        approximate_above=approximate_above,
        memory_bytes=memory_bytes,
    )
    counts = np.bincount(objects.owners, minlength=n)
    sums = np.bincount(objects.owners, found.values, minlength=n)
    return Typicality(sums / np.maximum(counts, 1), found.neighbours, found.recall, found.note)
