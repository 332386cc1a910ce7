from typing import Any

import pytest

from jobs.errors import JobRejected
from jobs.selection import Balance, Diversity, Selection, Typicality, Weights
from jobs.spec import SelectionJob, parse_job, parse_job_with_warnings

EMBEDDINGS = {"type": "EMBEDDINGS"}
METADATA = {"type": "METADATA", "key": "weather"}
COUNT = {"type": "PREDICTIONS", "name": "CATEGORY_COUNT", "task": "cars", "categories": ["car"]}
CLASSES = {"type": "PREDICTIONS", "name": "CLASS_DISTRIBUTION", "task": "cars"}
SCORES = {"type": "SCORES", "task": "cars", "score": "uncertainty_entropy"}
RANDOM = {"type": "RANDOM"}
DIVERSITY = {"type": "DIVERSITY"}
WEIGHTS = {"type": "WEIGHTS"}
THRESHOLD = {"type": "THRESHOLD", "threshold": 0.5, "operation": "BIGGER"}
BALANCE = {"type": "BALANCE", "distribution": "UNIFORM"}
SIMILARITY = {"type": "SIMILARITY"}
TYPICALITY = {"type": "TYPICALITY"}
QUERY = {"query": {"job": "earlier"}}


def text(selection: object) -> dict[str, Any]:
    place = {"input": "s3://recordings/", "output": "s3://curation/"}
    return {"kind": "selection", "name": "night", "datasource": place, "selection": selection}


def parsed(selection: object) -> Selection:
    job = parse_job(text(selection))
    assert isinstance(job, SelectionJob)
    return job.selection


def entry(given: dict[str, Any], strategy: dict[str, Any], **more: object) -> dict[str, Any]:
    return {"n_samples": 5, "strategies": [{"input": given, "strategy": strategy, **more}]}


def refused(selection: object) -> str:
    with pytest.raises(JobRejected) as caught:
        parse_job(text(selection))
    assert "\n" not in str(caught.value)
    return str(caught.value)


PAIRS = {
    "EMBEDDINGS": (EMBEDDINGS, [DIVERSITY, TYPICALITY]),
    "EMBEDDINGS with a query": ({**EMBEDDINGS, **QUERY}, [SIMILARITY]),
    "METADATA": (METADATA, [WEIGHTS, THRESHOLD, BALANCE]),
    "CATEGORY_COUNT": (COUNT, [WEIGHTS, THRESHOLD]),
    "CLASS_DISTRIBUTION": (CLASSES, [BALANCE]),
    "SCORES": (SCORES, [WEIGHTS, THRESHOLD]),
    "RANDOM": (RANDOM, [WEIGHTS, THRESHOLD]),
}
ALL = [DIVERSITY, WEIGHTS, THRESHOLD, BALANCE, SIMILARITY, TYPICALITY]


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("strategy", ALL, ids=lambda strategy: strategy["type"])
def test_entry__only_published_pairs(name: str, strategy: dict[str, Any]) -> None:
    given, allowed = PAIRS[name]
    if strategy in allowed:
        found = parsed(entry(given, strategy)).strategies[0]
        assert (found.input.type, found.strategy.type) == (given["type"], strategy["type"])
    else:
        assert refused(entry(given, strategy)).startswith("selection.strategies.0.")


def test_entry__wrong_pair_names_the_choices() -> None:
    assert refused(entry(EMBEDDINGS, WEIGHTS)) == (
        "selection.strategies.0.strategy.type: WEIGHTS does not go with EMBEDDINGS;"
        " EMBEDDINGS goes with DIVERSITY, SIMILARITY, TYPICALITY"
    )


@pytest.mark.parametrize(
    ("given", "strategy", "says"),
    [
        (EMBEDDINGS, {"type": "diversity"}, "strategy.type: should be one of DIVERSITY, WEIGHTS, THRESHOLD,"),
        (EMBEDDINGS, {"type": "diversity"}, "(got 'diversity'); did you mean 'DIVERSITY'?"),
        (EMBEDDINGS, {"type": ["DIVERSITY"]}, "strategy.type: "),
        (EMBEDDINGS, {}, "strategy.type: required, but missing"),
        (EMBEDDINGS, "DIVERSITY", "strategy: should be an object (got 'DIVERSITY')"),
        ({"typ": "EMBEDDINGS"}, DIVERSITY, "input.type: required, but missing"),
        ({"type": "EMBEDDING"}, DIVERSITY, "did you mean 'EMBEDDINGS'?"),
        (EMBEDDINGS, {**DIVERSITY, "threshold": 3}, "strategy.threshold: unknown key 'threshold'; known are"),
        (EMBEDDINGS, {**DIVERSITY, "DIVERSITY": 3}, "unknown key 'DIVERSITY'"),
        (EMBEDDINGS, {**DIVERSITY, "strength": 2e9}, "strategy.strength: should be less than or equal to"),
        (EMBEDDINGS, {**DIVERSITY, "strength": True}, "strategy.strength: should be a number (got true)"),
        (
            EMBEDDINGS,
            {**DIVERSITY, "stopping_condition_minimum_distance": -1},
            "strategy.stopping_condition_minimum_distance: should be greater than or equal to 0 (got -1)",
        ),
        (EMBEDDINGS, {**DIVERSITY, "on_too_close": "stop"}, "strategy.on_too_close: 'stop' needs stopping_"),
        (METADATA, {**THRESHOLD, "operation": "GREATER"}, "strategy.operation: should be one of SMALLER,"),
        (METADATA, {"type": "THRESHOLD", "operation": "BIGGER"}, "strategy.threshold: required, but missing"),
        (METADATA, {**WEIGHTS, "stopping_condition_max_sum": -1}, "strategy.stopping_condition_max_sum: "),
        (
            METADATA,
            {**WEIGHTS, "targetRange": {"minSum": 3, "maxSum": 1}},
            "strategy.targetRange: max_sum 1.0",
        ),
        (
            METADATA,
            {**WEIGHTS, "targetRange": {"minSum": "3"}},
            "strategy.targetRange.minSum: should be a number",
        ),
        (METADATA, {**WEIGHTS, "target_range": {}}, "strategy.target_range: give min_sum, max_sum or both"),
        (METADATA, {"type": "BALANCE"}, "strategy: BALANCE needs a target, or a distribution"),
        (
            METADATA,
            {"type": "BALANCE", "distribution": "TARGET"},
            "strategy.target: distribution TARGET needs",
        ),
        (
            METADATA,
            {**BALANCE, "target": {"a": 1}},
            "strategy.target: a target does not go with distribution UNIFORM",
        ),
        (METADATA, {"type": "BALANCE", "target": {}}, "strategy.target: "),
        (METADATA, {"type": "BALANCE", "target": {"a": 0.7, "b": 0.4}}, "add up to 1 at most (got 1.1)"),
        (METADATA, {"type": "BALANCE", "target": {"CAR": -1}}, "strategy.target.CAR: should be greater than"),
        (
            METADATA,
            {"type": "BALANCE", "target": {"light rain": "x"}},
            "strategy.target.'light rain': should be a num",
        ),
        ({"type": "METADATA", "key": ""}, WEIGHTS, "input.key: "),
        ({"type": "METADATA"}, WEIGHTS, "input.key: required, but missing"),
        ({"type": "PREDICTIONS", "task": "cars"}, BALANCE, "input.name: required, but missing"),
        ({**CLASSES, "name": "CLASS_DIST"}, BALANCE, "did you mean 'CLASS_DISTRIBUTION'?"),
        ({**CLASSES, "categories": ["car"]}, BALANCE, "input.categories: unknown key 'categories'"),
        (
            {**COUNT, "categories": ["car", "car"]},
            WEIGHTS,
            "input.categories: each category should be given once",
        ),
        ({**COUNT, "categories": []}, WEIGHTS, "input.categories: should have 1 item at least"),
        ({**SCORES, "task": "my task"}, WEIGHTS, "input.task: should match pattern"),
        ({**RANDOM, "random_seed": 1.5}, WEIGHTS, "input.random_seed: should be a whole number (got 1.5)"),
        (
            EMBEDDINGS,
            {**TYPICALITY, "numNearestNeighbors": 1},
            "strategy.numNearestNeighbors: should be greater",
        ),
        (EMBEDDINGS, {**TYPICALITY, "num_nearest_neighbours": 5}, "did you mean 'num_nearest_neighbors'?"),
        (EMBEDDINGS, {**TYPICALITY, "stopping_condition_minimum_typicality": 0}, "should be greater than 0"),
        (EMBEDDINGS, SIMILARITY, "input.query: SIMILARITY needs to know what to be similar to"),
        ({**EMBEDDINGS, **QUERY}, DIVERSITY, "input.query: goes with SIMILARITY only, not with DIVERSITY"),
        (
            {**EMBEDDINGS, "query": {}},
            SIMILARITY,
            "input.query: give exactly one of job, datapool, keys (got none)",
        ),
        ({**EMBEDDINGS, "query": {"job": "a", "keys": ["b"]}}, SIMILARITY, "(got job, keys)"),
        ({**EMBEDDINGS, "query": {"job": "../a"}}, SIMILARITY, "input.query.job: should be 1 to 100 of"),
    ],
)
def test_entry__refuses_naming_the_place(given: dict[str, Any], strategy: Any, says: str) -> None:
    found = refused(entry(given, strategy))
    assert found.startswith("selection.strategies.0.")
    assert says in found


@pytest.mark.parametrize("strategy", [{"target": {"a": 0.1}}, {"target": {"a": 0.1}, "distribution": None}])
def test_balance__target_alone_means_target(strategy: dict[str, Any]) -> None:
    balance = parsed(entry(METADATA, {"type": "BALANCE", **strategy})).strategies[0].strategy
    assert isinstance(balance, Balance)
    assert balance.distribution == "TARGET"


def test_balance__equal_shares_may_round_above_one() -> None:
    shares = {f"v{n}": 0.1 for n in range(10)} | {"rest": 1e-10}
    assert parsed(entry(METADATA, {"type": "BALANCE", "target": shares}))


def test_entry__camel_case_is_snake_case() -> None:
    found = parsed(
        {
            "nSamples": -1,
            "proportionSamples": 0.5,
            "strategies": [
                {"input": EMBEDDINGS, "strategy": {**DIVERSITY, "stoppingConditionMinimumDistance": 0.1}},
                {"input": EMBEDDINGS, "strategy": {**TYPICALITY, "numNearestNeighbors": 7}},
                {"input": {**RANDOM, "randomSeed": 3}, "strategy": {**WEIGHTS, "targetRange": {"minSum": 1}}},
            ],
        }
    )
    assert (found.n_samples, found.proportion_samples) == (None, 0.5)
    diversity, typicality, weights = (one.strategy for one in found.strategies)
    assert isinstance(diversity, Diversity)
    assert diversity.stopping_condition_minimum_distance == 0.1
    assert isinstance(typicality, Typicality)
    assert typicality.num_nearest_neighbors == 7
    assert isinstance(weights, Weights)
    assert weights.target_range is not None
    assert weights.target_range.min_sum == 1


def test_entry__the_same_key_in_both_spellings_is_refused() -> None:
    found = refused({**entry(EMBEDDINGS, DIVERSITY), "nSamples": 5})
    assert found == "selection.nSamples: 'n_samples' is given twice, in snake_case and in camelCase"


def test_strength__beside_the_strategy_is_moved_with_a_warning() -> None:
    found = parse_job_with_warnings(text(entry(EMBEDDINGS, DIVERSITY, strength=2)))
    assert isinstance(found.job, SelectionJob)
    assert found.job.selection.strategies[0].strategy.strength == 2
    assert found.warnings == (
        "selection.strategies.0.strength: belongs into strategy; taken as strategy.strength",
    )
    assert found.job == parse_job(text(entry(EMBEDDINGS, {**DIVERSITY, "strength": 2})))


def test_strength__twice_the_same_is_fine_and_twice_another_is_refused() -> None:
    assert parsed(entry(EMBEDDINGS, {**DIVERSITY, "strength": 2.0}, strength=2))
    assert refused(entry(EMBEDDINGS, {**DIVERSITY, "strength": 1}, strength=2)) == (
        "selection.strategies.0.strength: 2 here and 1 in strategy.strength; give one of them"
    )


@pytest.mark.parametrize("strength", ["1", 2e9, None, True, [1]])
def test_strength__beside_the_strategy_has_the_same_bounds(strength: object) -> None:
    found = refused(entry(EMBEDDINGS, DIVERSITY, strength=strength))
    assert found.startswith("selection.strategies.0.strength: should be a number from -1e9 to 1e9")


ONE = entry(EMBEDDINGS, DIVERSITY)["strategies"]


@pytest.mark.parametrize(
    ("size", "says"),
    [
        ({}, "selection: neither n_samples nor proportion_samples is given"),
        ({"n_samples": -1}, "selection: neither"),
        ({"n_samples": None, "proportion_samples": None}, "selection: neither"),
        (
            {"n_samples": 5, "proportion_samples": 0.5},
            "selection: n_samples and proportion_samples are both given",
        ),
        ({"n_samples": 0}, "selection.n_samples: should be greater than or equal to 1 (got 0)"),
        ({"n_samples": -2}, "selection.n_samples: should be greater"),
        ({"n_samples": 100_000_001}, "selection.n_samples: should be less than or equal to 100000000"),
        ({"n_samples": 5.0}, "selection.n_samples: should be a whole number (got 5.0)"),
        ({"n_samples": "5"}, "selection.n_samples: should be a whole number (got '5')"),
        ({"n_samples": True}, "selection.n_samples: should be a whole number (got true)"),
        ({"proportion_samples": 0}, "selection.proportion_samples: should be greater than 0"),
        (
            {"proportionSamples": 1.1},
            "selection.proportionSamples: should be less than or equal to 1 (got 1.1)",
        ),
        ({"n_sample": 5}, "selection.n_sample: unknown key 'n_sample'; did you mean 'n_samples'?"),
    ],
)
def test_selection__exactly_one_size(size: dict[str, Any], says: str) -> None:
    assert refused({**size, "strategies": ONE}).startswith(says)


@pytest.mark.parametrize(
    "size", [{"n_samples": 1}, {"n_samples": 100_000_000}, {"n_samples": -1, "proportion_samples": 1}]
)
def test_selection__sizes_at_the_bounds(size: dict[str, Any]) -> None:
    found = parsed({**size, "strategies": ONE})
    assert (found.n_samples is None) != (found.proportion_samples is None)


def test_selection__needs_a_strategy() -> None:
    assert refused({"n_samples": 1, "strategies": []}) == "selection.strategies: should have 1 item at least"
    assert (
        refused({"n_samples": 1, "strategies": ONE * 101})
        == "selection.strategies: should have 100 items at most"
    )


def test_selection__extensions() -> None:
    found = parsed(
        {
            "n_samples": 5,
            "strategies": ONE,
            "mode": "submodular",
            "groups": {"key": "drive"},
            "quotas": [{"key": "camera", "at_most": 3}, {"key": "city", "value": "Berlin", "at_least": 2}],
            "protected": {"query": {"datapool": "test split"}, "radius": 0.2},
        }
    )
    assert found.groups is not None
    assert found.groups.key == "drive"
    assert [(quota.value, quota.at_least, quota.at_most) for quota in found.quotas] == [
        (None, 0, 3),
        ("Berlin", 2, None),
    ]
    assert found.protected is not None
    assert found.protected.query.datapool == "test split"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"mode": "objective"}, "selection.mode: should be one of objective_product,"),
        ({"quotas": [{"key": "a"}]}, "selection.quotas.0: give at_least, at_most or both"),
        (
            {"quotas": [{"key": "a", "at_least": 3, "at_most": 2}]},
            "selection.quotas.0: at_most 2 should not be below",
        ),
        ({"protected": {"query": {"job": "a"}}}, "selection.protected.radius: required, but missing"),
        ({"autoTasks": [{"type": "CROPS"}]}, "selection.autoTasks.0.type: should be TILING (got 'CROPS')"),
        (
            {"auto_tasks": [{"type": "TILING", "name": "t", "num_rows": 2, "num_cols": 2, "overlap": 1}]},
            "selection.auto_tasks.0.overlap: should be less than 1",
        ),
    ],
)
def test_selection__extensions_are_checked(more: dict[str, Any], says: str) -> None:
    assert refused({"n_samples": 5, "strategies": ONE, **more}).startswith(says)


@pytest.mark.parametrize(
    ("size", "count", "asked"),
    [
        ({"n_samples": 5}, 3, 5),
        ({"proportion_samples": 0.1}, 30, 3),
        ({"proportion_samples": 0.01}, 30, 1),
        ({"proportion_samples": 1}, 30, 30),
    ],
)
def test_asked_of__number_or_share(size: dict[str, Any], count: int, asked: int) -> None:
    assert parsed({**size, "strategies": ONE}).asked_of(count) == asked


@pytest.mark.parametrize(
    ("given", "strategy", "says"),
    [
        (
            EMBEDDINGS,
            {**DIVERSITY, "strength": -1},
            "selection.strategies.0.strategy.strength: mode submodular needs 0 or more (got -1); choose another mode",
        ),
        (
            METADATA,
            {**WEIGHTS, "targetRange": {"minSum": 1}},
            "selection.strategies.0.strategy.targetRange: does not go with mode submodular; choose another mode",
        ),
    ],
)
def test_mode__submodular_takes_no_sum_that_can_fall(
    given: dict[str, Any], strategy: dict[str, Any], says: str
) -> None:
    asked = entry(given, strategy)
    assert refused({**asked, "mode": "submodular"}) == says
    assert parsed({**asked, "mode": "gain_product"}).mode == "gain_product"


def test_mode__submodular_takes_a_threshold_of_any_strength() -> None:
    assert (
        parsed({**entry(METADATA, {**THRESHOLD, "strength": -1}), "mode": "submodular"}).mode == "submodular"
    )


def test_metadata_keys__each_with_its_first_place() -> None:
    asked = {
        **entry(METADATA, WEIGHTS),
        "groups": {"key": "drive"},
        "quotas": [{"key": "weather", "at_most": 1}, {"key": "camera", "at_most": 1}],
    }
    assert parsed(asked).metadata_keys() == {
        "weather": "selection.strategies.0.input.key",
        "drive": "selection.groups.key",
        "camera": "selection.quotas.1.key",
    }


def with_time(**selection: object) -> dict[str, Any]:
    return {**entry(EMBEDDINGS, DIVERSITY), **selection}


def test_selection__time_in_both_spellings() -> None:
    plain = parsed(with_time())
    assert (plain.selected_sequence_length, plain.sequence_overlap, plain.sequence_pooling) == (1, 0, "mean")
    assert plain.min_gap_s is None
    camel = with_time(
        nSamples=20, selectedSequenceLength=5, sequenceOverlap=4, sequencePooling="max", minGapS=1
    )
    del camel["n_samples"]
    found = parsed(camel)
    assert (found.n_samples, found.selected_sequence_length, found.sequence_overlap) == (20, 5, 4)
    assert (found.sequence_pooling, found.min_gap_s) == ("max", 1)
    assert Selection.model_validate(found.model_dump()) == found


@pytest.mark.parametrize(
    ("selection", "says"),
    [
        ({"selected_sequence_length": 0}, "selected_sequence_length: should be greater than or equal to 1"),
        ({"selected_sequence_length": 2.0}, "selected_sequence_length: should be a"),
        (
            {"n_samples": 12, "selected_sequence_length": 5},
            "n_samples: 12 should be a multiple of selected_sequence_length 5, since it counts frames: choose 10 or 15",
        ),
        ({"n_samples": 3, "selected_sequence_length": 5}, "since it counts frames: choose 5"),
        (
            {"n_samples": 10, "selected_sequence_length": 5, "sequence_overlap": 5},
            "sequence_overlap: should be below selected_sequence_length 5 (got 5)",
        ),
        ({"sequence_overlap": 1}, "sequence_overlap: should be below selected_sequence_length 1 (got 1)"),
        ({"sequence_pooling": "max"}, "sequence_pooling: needs a selected_sequence_length above 1"),
        ({"sequence_pooling": "sum"}, "sequence_pooling: should be one of mean, max, first (got 'sum')"),
        ({"min_gap_s": 0}, "min_gap_s: should be greater than 0 (got 0)"),
        (
            {"n_samples": 10, "selected_sequence_length": 5, "groups": {"key": "camera"}},
            "groups: do not go with selected_sequence_length 5",
        ),
        ({"groups": {"key": "a", "time_key": "t"}}, "groups.time_key: needs tolerance_s beside it"),
        (
            {"groups": {"key": "a", "tolerance_s": 1, "time_unit_s": 1e-6}},
            "groups.time_unit_s: needs time_key beside it",
        ),
        ({"groups": {"key": "a", "tolerance_s": -1}}, "groups.tolerance_s: should be greater than or equal"),
    ],
)
def test_selection__refusals_of_time(selection: dict[str, Any], says: str) -> None:
    assert says in refused(with_time(**selection))


@pytest.mark.parametrize(
    ("share", "count", "length", "asked"),
    [(0.1, 100, 1, 10), (0.1, 100, 4, 12), (0.12, 100, 4, 12), (0.001, 100, 4, 4), (1.0, 10, 4, 12)],
)
def test_asked_of__a_share_is_rounded_up_to_whole_sequences(
    share: float, count: int, length: int, asked: int
) -> None:
    selection = {**with_time(selected_sequence_length=length), "n_samples": None, "proportion_samples": share}
    assert parsed(selection).asked_of(count) == asked


def test_metadata_keys__has_the_time_of_rigs() -> None:
    groups = {"key": "drive", "tolerance_s": 0.1, "time_key": "t"}
    assert parsed(with_time(groups=groups)).metadata_keys() == {
        "drive": "selection.groups.key",
        "t": "selection.groups.time_key",
    }
