"""Prefer what is far from what is selected."""

from jobs.selection import Diversity as Asked
from jobs.selection import Entry
from worker.selection.terms import Diversity
from worker.strategy import Effect, Samples


def effect(entry: Entry, samples: Samples, *, at: str) -> Effect:
    """Return a term; it looks at the pool's embeddings only."""
    del samples
    asked = entry.strategy
    if not isinstance(asked, Asked):
        raise TypeError(f"{at}: expected a DIVERSITY, got {asked.type}")
    distance = asked.stopping_condition_minimum_distance
    too_close = "ends the selection" if asked.on_too_close == "stop" else "is skipped"
    return Effect(
        term=Diversity(
            strength=asked.strength, minimum_distance=distance or 0.0, on_too_close=asked.on_too_close
        ),
        detail=f"what is nearer than {distance:g} {too_close}" if distance else "",
    )
