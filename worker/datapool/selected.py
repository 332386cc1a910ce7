"""From a finished selection to what it adds to a datapool."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.datasource import Location
from worker.datapool.increments import Identity, Member, Members
from worker.gather import Gathered, Gatherer
from worker.manifest import Plan, sources_of
from worker.variants import MEASURES

FULL_SIZE = "@full"
"""Follows the name of a measure that was taken from full-size pixels: such values compare with their like only."""


def measure_column(name: str, gathered: Gathered) -> str:
    """Return under which name a datapool keeps a measure as this job has taken it."""
    return name + FULL_SIZE if name in gathered.full_size else name


def selected_members(
    gathered: Gathered, gatherer: Gatherer, plan: Plan, rows: NDArray[np.int64], *, origin: Location
) -> Members:
    """Return the selected rows in pick order, with their full embeddings out of the stored chunks.

    Memory: the full embeddings of what was selected, and of a few chunks.
    """
    samples = gathered.samples.take(pa.array(rows))
    names = samples["sample"].to_pylist()
    sources = sources_of(plan, samples["source"].to_pylist())
    members = tuple(
        Member(
            Identity(origin.url, origin.connection, name, content),
            source,
            sources[source].etag,
            sources[source].size,
            plan.planned_at,
        )
        for name, source, content in zip(
            names, samples["source"].to_pylist(), samples["content"].to_pylist(), strict=True
        )
    )
    measures = {
        measure_column(name, gathered): samples[name].cast(pa.float64()).to_numpy()
        for name, measure in MEASURES.by_name.items()
        if measure.numeric
    }
    return Members(members, measures, gatherer.full(names, sources))
