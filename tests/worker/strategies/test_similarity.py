from dataclasses import replace

import numpy as np
import pytest

from jobs.inputs import Query
from tests.worker.pools import entry, pool
from worker.selection.terms import Weights
from worker.strategies.similarity import effect

KEYS = {"keys": ["a", "e"]}
JOB = {"job": "20261122T041500Z-1a2b3c4d5e6f"}


def asked(query, strength=1.0):
    return entry({"type": "EMBEDDINGS", "query": query}, {"type": "SIMILARITY", "strength": strength})


def similar(query=KEYS, **more):
    made = pool(6, **more)
    return effect(
        asked(query, -3),
        replace(made, queries={Query.model_validate(query): made.embeddings[[0, 4]]}),
        at="x",
    )


def test_effect__is_a_term_that_falls_with_the_distance_to_the_nearest_of_the_query():
    vectors = pool(6).embeddings.astype(np.float64)
    distances = np.linalg.norm(vectors[:, None] - vectors[[0, 4]][None], axis=2).min(axis=1)
    found = similar()

    assert isinstance(found.term, Weights)
    assert found.term.strength == -3
    assert found.term.stop_below is None
    np.testing.assert_allclose(found.term.values, np.exp(-distances / distances.mean()), rtol=1e-6)
    assert found.term.values[[0, 4]].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (KEYS, "to 2 named samples"),
        (JOB, "to 2 samples that 20261122T041500Z-1a2b3c4d5e6f selected"),
    ],
)
def test_effect__says_to_what(query, words):
    assert similar(query).detail == words


def test_effect__is_for_similarity():
    with pytest.raises(TypeError, match="expected a SIMILARITY"):
        effect(entry({"type": "EMBEDDINGS"}, {"type": "DIVERSITY"}), pool(2), at="x")
