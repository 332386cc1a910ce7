"""Laws that every strategy keeps: a new file in worker/strategies/ has to give its examples here."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from jobs.inputs import Query
from jobs.selection import Entry
from tests.worker.pools import entry, pool
from worker.categories import Category
from worker.selection.terms import Balance, Diversity, Weights
from worker.strategy import Effect, Samples, effect_of, strategy_names

N = 12
QUERY = Query(keys=("a",))
SPEED = {"type": "METADATA", "key": "speed"}
RANDOM = {"type": "RANDOM"}
EMBEDDINGS = {"type": "EMBEDDINGS"}
WEATHER = {"type": "METADATA", "key": "weather"}
EXAMPLES: dict[str, list[Callable[[float], Entry]]] = {
    "balance": [
        lambda s: entry(WEATHER, {"type": "BALANCE", "strength": s, "distribution": "UNIFORM"}),
        lambda s: entry(WEATHER, {"type": "BALANCE", "strength": s, "distribution": "INPUT"}),
        lambda s: entry(WEATHER, {"type": "BALANCE", "strength": s, "target": {"rain": 0.2, "sun": 0.3}}),
    ],
    "diversity": [
        lambda s: entry(EMBEDDINGS, {"type": "DIVERSITY", "strength": s}),
        lambda s: entry(
            EMBEDDINGS,
            {"type": "DIVERSITY", "strength": s, "stopping_condition_minimum_distance": 0.1},
        ),
    ],
    "similarity": [
        lambda s: entry({**EMBEDDINGS, "query": {"keys": ["a"]}}, {"type": "SIMILARITY", "strength": s})
    ],
    "threshold": [
        lambda s: entry(
            SPEED, {"type": "THRESHOLD", "strength": s, "threshold": 3, "operation": "BIGGER_EQUAL"}
        ),
        lambda s: entry(
            RANDOM, {"type": "THRESHOLD", "strength": s, "threshold": 0.5, "operation": "SMALLER"}
        ),
    ],
    "typicality": [
        lambda s: entry(EMBEDDINGS, {"type": "TYPICALITY", "strength": s, "num_nearest_neighbors": 3})
    ],
    "weights": [
        lambda s: entry(SPEED, {"type": "WEIGHTS", "strength": s}),
        lambda s: entry(RANDOM, {"type": "WEIGHTS", "strength": s, "stopping_condition_max_sum": 3}),
        lambda s: entry(SPEED, {"type": "WEIGHTS", "strength": s, "target_range": {"min_sum": 3}}),
    ],
}
EVERY = [
    pytest.param(example, id=f"{name}-{number}")
    for name, examples in EXAMPLES.items()
    for number, example in enumerate(examples)
]


def samples() -> Samples:
    """Return samples of which one has no speed and another no weather."""
    speeds = [float(row) for row in range(N - 1)] + [np.nan]
    weather = [("rain", "sun", "fog")[row % 3] for row in range(N - 1)] + [None]
    made = pool(N, numbers={"speed": speeds[::-1]}, words={"weather": weather}, seed=3)
    return replace(made, queries={QUERY: made.embeddings[[0, 4]]})


def some(made: Samples, rows: np.ndarray) -> Samples:
    """Return a choice of samples, in the order given."""
    return replace(
        made,
        names=[made.names[row] for row in rows],
        embeddings=made.embeddings[rows],
        numbers={key: values[rows] for key, values in made.numbers.items()},
        categories={key: Category(one.labels[rows], one.values) for key, one in made.categories.items()},
        passed=made.passed[rows],
    )


def arrays(effect: Effect) -> list[np.ndarray]:
    """Return everything of an effect that has a row a sample."""
    found = [] if effect.keep is None else [effect.keep]
    if isinstance(effect.term, Weights):
        found.append(effect.term.values)
    if isinstance(effect.term, Balance):
        found.append(effect.term.shares)
    return found


def test_examples__there_are_some_of_every_strategy() -> None:
    assert sorted(EXAMPLES) == strategy_names()


@pytest.mark.parametrize("example", EVERY)
def test_effect_of__fits_the_samples(example: Callable[[float], Entry]) -> None:
    effect = effect_of(example(1.0), samples(), at="x")
    assert effect.keep is not None or effect.term is not None
    for found in arrays(effect):
        assert len(found) == N
        assert np.isfinite(found).all()
    if effect.keep is not None:
        assert effect.keep.dtype == np.bool_
    if isinstance(effect.term, Weights):
        assert effect.term.values.shape == (N,)
        assert (effect.term.values >= 0).all()
    if isinstance(effect.term, Balance):
        assert effect.term.shares.shape == (N, len(effect.classes))
        assert effect.term.target.shape == (len(effect.classes),)
        assert effect.term.target.sum() == pytest.approx(1)
        assert len(set(effect.classes)) == len(effect.classes)
    assert all("\n" not in text for text in (effect.detail, *effect.warnings))


@pytest.mark.parametrize("example", EVERY)
def test_effect_of__is_the_same_every_time(example: Callable[[float], Entry]) -> None:
    one, other = (effect_of(example(1.0), samples(), at="x") for _ in range(2))
    for first, second in zip(arrays(one), arrays(other), strict=True):
        np.testing.assert_array_equal(first, second)
    assert (one.missing_count, one.classes, one.detail) == (other.missing_count, other.classes, other.detail)


@pytest.mark.parametrize("example", EVERY)
def test_effect_of__goes_with_its_sample_in_whatever_order(example: Callable[[float], Entry]) -> None:
    order = np.random.default_rng(1).permutation(N)
    before = effect_of(example(1.0), samples(), at="x")
    after = effect_of(example(1.0), some(samples(), order), at="x")
    for first, second in zip(arrays(before), arrays(after), strict=True):
        np.testing.assert_allclose(first[order], second, rtol=1e-12)
    assert (before.missing_count, before.classes) == (after.missing_count, after.classes)


@pytest.mark.parametrize("strength", [-1e9, 0.0, 0.5, 1e9])
@pytest.mark.parametrize("example", EVERY)
def test_effect_of__strength_passes_through(example: Callable[[float], Entry], strength: float) -> None:
    effect, one = (effect_of(example(value), samples(), at="x") for value in (strength, 1.0))
    if effect.term is not None:
        assert effect.term.strength == strength
    for first, second in zip(arrays(effect), arrays(one), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("example", EVERY)
def test_effect_of__a_sample_without_a_value_is_left_out_and_counted(
    example: Callable[[float], Entry],
) -> None:
    effect = effect_of(example(1.0), samples(), at="x")
    key = getattr(example(1.0).input, "key", None)
    without = {"speed": 0, "weather": N - 1}
    assert effect.missing_count == (key in without)
    if key in without:
        assert effect.keep is not None
        assert not effect.keep[without[key]]


@pytest.mark.parametrize(
    "example", [EXAMPLES[name][0] for name in ("balance", "similarity", "typicality", "weights")]
)
def test_effect_of__what_no_threshold_let_through_decides_nothing(example: Callable[[float], Entry]) -> None:
    left = np.arange(N) % 4 != 1
    among = effect_of(example(1.0), replace(samples(), passed=left), at="x")
    alone = effect_of(example(1.0), some(samples(), np.flatnonzero(left)), at="x")
    for first, second in zip(arrays(among), arrays(alone), strict=True):
        np.testing.assert_allclose(first[left], second, rtol=1e-12)
    assert among.missing_count == alone.missing_count


def test_effect_of__diversity_is_made_of_what_was_asked_for() -> None:
    asked = {
        "type": "DIVERSITY",
        "strength": -2.0,
        "stopping_condition_minimum_distance": 0.5,
        "on_too_close": "stop",
    }
    assert effect_of(entry(EMBEDDINGS, asked), samples(), at="x").term == Diversity(
        strength=-2.0, minimum_distance=0.5, on_too_close="stop"
    )
