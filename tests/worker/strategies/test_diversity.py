import numpy as np

from jobs.selection import Entry
from worker.selection.objectives import Diversity
from worker.strategies.diversity import effect
from worker.strategy import Columns


def test_effect__is_a_term_with_the_strength():
    entry = Entry.model_validate(
        {"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY", "strength": -2.0}}
    )

    found = effect(entry, Columns(names=["a"], metadata={"x": np.zeros(1)}, seed=0), at="x")

    assert found.term == Diversity(strength=-2.0)
    assert found.keep is None
    assert found.missing_count == 0
