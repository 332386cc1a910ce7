"""Prefer what lies in dense regions."""

from jobs.selection import Entry, Typicality
from worker.selection.terms import Weights
from worker.selection.typicality import typicality
from worker.strategy import Effect, Samples


def effect(entry: Entry, samples: Samples, *, at: str) -> Effect:
    """Return a term of how dense the surroundings of each sample are, measured among all that count."""
    asked = entry.strategy
    if not isinstance(asked, Typicality):
        raise TypeError(f"{at}: expected a TYPICALITY, got {asked.type}")
    found = typicality(samples.counted_embeddings, k=asked.num_nearest_neighbors, device=samples.device)
    floor = asked.stopping_condition_minimum_typicality
    parts = [f"{found.neighbours:,} neighbours", found.note]
    if floor is not None:
        parts.append(f"stops below {floor:g}")
    return Effect(
        term=Weights(
            samples.spread(found.values), strength=asked.strength, stop_below=floor, is_typicality=True
        ),
        detail=", ".join(parts),
    )
