import pytest

from tests.worker.pools import entry, pool
from worker.selection.terms import Diversity
from worker.strategies.diversity import effect

EMBEDDINGS = {"type": "EMBEDDINGS"}


def test_effect__is_a_term_with_the_strength() -> None:
    found = effect(entry(EMBEDDINGS, {"type": "DIVERSITY", "strength": -2.0}), pool(3), at="x")
    assert found.term == Diversity(strength=-2.0)
    assert found.keep is None
    assert found.detail == ""


@pytest.mark.parametrize(("on", "words"), [("skip", "is skipped"), ("stop", "ends the selection")])
def test_effect__minimum_distance(on: str, words: str) -> None:
    asked = {"type": "DIVERSITY", "stopping_condition_minimum_distance": 0.25, "on_too_close": on}
    found = effect(entry(EMBEDDINGS, asked), pool(3), at="x")
    assert found.term == Diversity(minimum_distance=0.25, on_too_close=on)
    assert found.detail == f"what is nearer than 0.25 {words}"
