"""Prefer what is near the samples of a query."""

import numpy as np

from jobs.inputs import Embeddings, Query
from jobs.selection import Entry, Similarity
from worker.selection.similarity import similarity
from worker.selection.terms import Weights
from worker.strategy import Effect, Samples


def effect(entry: Entry, samples: Samples, *, at: str) -> Effect:
    """Return a term of similarities to the nearest sample of the query, measured among all that count."""
    asked, given = entry.strategy, entry.input
    if not isinstance(asked, Similarity) or not isinstance(given, Embeddings) or given.query is None:
        raise TypeError(f"{at}: expected a SIMILARITY to a query, got {asked.type}")
    query = samples.queries[given.query]
    left = samples.counted_embeddings
    values = similarity(left, query, device=samples.device) if len(left) else np.empty(0)
    source = _source(given.query)
    return Effect(
        term=Weights(samples.spread(values), strength=asked.strength), detail=f"to {len(query):,} {source}"
    )


def _source(query: Query) -> str:
    if query.job is not None:
        return f"samples that {query.job} selected"
    return "named samples" if query.datapool is None else f"samples of the datapool {query.datapool}"
