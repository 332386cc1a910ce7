"""Distances inside a set and from the input to a set, in the embedding space."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from worker.analysis.statistics import counts, edges, metrics, percentiles
from worker.device import Device
from worker.facts import Distances, DistanceSet, Metrics, Percentiles, SetName
from worker.selection.neighbours import nearest

Embeddings = NDArray[np.float32]
Rows = NDArray[np.int64]
Values = NDArray[np.float64]


def to_closest(embeddings: Embeddings, queries: Rows, base: Rows, *, device: Device) -> tuple[Values, Rows]:
    """Return, for each of (q,) query rows, the distance to the closest of (b,) base rows, and that row."""
    if not len(queries) or not len(base):
        return np.empty(0), np.empty(0, np.int64)
    distances, positions = nearest(_take(embeddings, queries), _take(embeddings, base), 1, device=device)
    return np.asarray(distances[:, 0], np.float64), base[positions[:, 0]]


def to_closest_other(embeddings: Embeddings, queries: Rows, base: Rows, *, device: Device) -> Values:
    """Return (q,) distances from each query row to the closest *other* row of (b,) base rows.

    `queries` must be a part of `base`. A row with an identical twin has distance 0; a base of one row has no
    distances at all.
    """
    if len(base) < 2 or not len(queries):
        return np.empty(0)
    distances, positions = nearest(_take(embeddings, queries), _take(embeddings, base), 2, device=device)
    # Among two neighbours at most one is the row itself, and it need not come first beside a twin.
    itself_first = base[positions[:, 0]] == queries
    return np.where(itself_first, distances[:, 1], distances[:, 0]).astype(np.float64)


def in_shared_bins(
    values: Mapping[SetName, Values], sizes: Mapping[SetName, int], random: Sequence[Values]
) -> Distances:
    """Describe every set over the same bins; `random` has one array a draw and joins as the set of that name."""
    drawn = np.concatenate(random) if random else np.empty(0)
    highest = max((float(one.max()) for one in (*values.values(), drawn) if len(one)), default=0.0)
    bins = edges(0.0, highest)
    sets = [
        DistanceSet(
            name=name,
            samples=sizes[name],
            measured=len(one),
            metrics=metrics(one),
            percentiles=percentiles(one),
            counts=counts(one, bins),
        )
        for name, one in values.items()
    ]
    if len(drawn):
        sets.append(
            DistanceSet(
                name="random",
                samples=sizes["random"],
                measured=len(drawn),
                metrics=_mean_metrics(random),
                percentiles=_mean_percentiles(random),
                counts=counts(drawn, bins),
            )
        )
    return Distances(edges=bins, sets=tuple(sets))


def _mean_metrics(random: Sequence[Values]) -> Metrics:
    each = [found.model_dump() for draw in random if (found := metrics(draw)) is not None]
    return Metrics(**{name: float(np.mean([one[name] for one in each])) for name in Metrics.model_fields})


def _mean_percentiles(random: Sequence[Values]) -> Percentiles:
    each = [found.model_dump() for draw in random if (found := percentiles(draw)) is not None]
    return Percentiles(
        **{name: float(np.mean([one[name] for one in each])) for name in Percentiles.model_fields}
    )


def _take(embeddings: Embeddings, rows: Rows) -> Embeddings:
    """Return the rows, without a copy where they are all of them in order."""
    everything = len(rows) == len(embeddings) and bool(np.array_equal(rows, np.arange(len(rows))))
    return embeddings if everything else embeddings[rows]
