"""Prefer what is far from what is selected."""

from jobs.selection import Entry
from worker.selection.objectives import Diversity
from worker.strategy import Columns, Effect


def effect(entry: Entry, columns: Columns, *, at: str) -> Effect:
    """Return a term; it looks at the pool's embeddings only."""
    del columns, at
    return Effect(term=Diversity(strength=entry.strategy.strength))
