import json
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import JobRejected
from jobs.spec import parse_job
from worker.supported import refuse_unsupported

MEASURES = {"sharpness", "luminance", "uniformRowRatio"}
EXAMPLES = Path(__file__).parents[1] / "jobs" / "examples"
EMBEDDINGS = {"type": "EMBEDDINGS"}
SHARPNESS = {"type": "METADATA", "key": "lightly.sharpness"}
RANDOM = {"type": "RANDOM", "random_seed": 3}
DIVERSITY = {"type": "DIVERSITY", "strength": -2}
WEIGHTS = {"type": "WEIGHTS"}
THRESHOLD = {"type": "THRESHOLD", "threshold": 0.5, "operation": "BIGGER"}


def text(*entries: tuple[dict[str, Any], dict[str, Any]], **selection: object) -> dict[str, Any]:
    pairs = entries or ((EMBEDDINGS, DIVERSITY),)
    return {
        "kind": "selection",
        "name": "night",
        "datasource": {"input": "s3://recordings/", "output": "s3://curation/"},
        "selection": {
            "n_samples": 5,
            "strategies": [{"input": given, "strategy": strategy} for given, strategy in pairs],
            **selection,
        },
    }


def check(job: dict[str, Any]) -> None:
    refuse_unsupported(parse_job(job), MEASURES)


def refused(job: dict[str, Any]) -> str:
    with pytest.raises(JobRejected) as caught:
        check(job)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "strategy"),
    [
        (EMBEDDINGS, DIVERSITY),
        (SHARPNESS, THRESHOLD),
        (SHARPNESS, WEIGHTS),
        (RANDOM, THRESHOLD),
        (RANDOM, WEIGHTS),
    ],
)
def test_refuse_unsupported__passes_what_is_there(given: dict[str, Any], strategy: dict[str, Any]) -> None:
    check(text((given, strategy)))


def test_refuse_unsupported__passes_the_blocks_that_are_there() -> None:
    job = text()
    job["datasource"]["relevant_filenames"] = ".lightly/relevant.txt"
    check(
        {**job, "embedding": {"dimension": None}, "limits": {"max_pixels": 9}, "report": {"images": "none"}}
    )


@pytest.mark.parametrize(
    ("given", "strategy", "says"),
    [
        (
            EMBEDDINGS,
            {"type": "TYPICALITY"},
            "selection.strategies.0.strategy.type: TYPICALITY on EMBEDDINGS is not available in framesift 0.1;"
            " available: DIVERSITY on EMBEDDINGS, THRESHOLD and WEIGHTS on METADATA (lightly.* measures)",
        ),
        (
            {**EMBEDDINGS, "query": {"job": "a"}},
            {"type": "SIMILARITY"},
            "selection.strategies.0.strategy.type: SIMILARITY on EMBEDDINGS is not available",
        ),
        (
            {**EMBEDDINGS, "dataset_id": "a"},
            {"type": "SIMILARITY"},
            "selection.strategies.0.input.dataset_id: there are no LightlyOne datasets and tags here; use input.query",
        ),
        (
            {**EMBEDDINGS, "tag_name": "a"},
            {"type": "SIMILARITY"},
            "selection.strategies.0.input.tag_name: there are no LightlyOne datasets and tags here; use input.query",
        ),
        ({**EMBEDDINGS, "task": "cars"}, DIVERSITY, "selection.strategies.0.input.task: "),
        (
            EMBEDDINGS,
            {**DIVERSITY, "stopping_condition_minimum_distance": 0.1},
            "selection.strategies.0.strategy.stopping_condition_minimum_distance: ",
        ),
        (SHARPNESS, {"type": "BALANCE", "distribution": "INPUT"}, "BALANCE on METADATA is not available"),
        (SHARPNESS, {**WEIGHTS, "stopping_condition_max_sum": 3}, "strategy.stopping_condition_max_sum: "),
        (
            RANDOM,
            {**WEIGHTS, "target_range": {"min_sum": 3}},
            "selection.strategies.0.strategy.target_range: ",
        ),
        (
            {"type": "METADATA", "key": "lightly.sharpnes"},
            THRESHOLD,
            "selection.strategies.0.input.key: no measure 'lightly.sharpnes'; choose from lightly.luminance,"
            " lightly.sharpness, lightly.uniformRowRatio; did you mean 'lightly.sharpness'?",
        ),
        (
            {"type": "METADATA", "key": "weather"},
            WEIGHTS,
            "selection.strategies.0.input.key: metadata of your own ('weather') is not available",
        ),
        ({"type": "SCORES", "task": "cars", "score": "s"}, WEIGHTS, "WEIGHTS on SCORES is not available"),
        (
            {"type": "PREDICTIONS", "name": "CATEGORY_COUNT", "task": "cars", "categories": ["car"]},
            WEIGHTS,
            "WEIGHTS on PREDICTIONS is not available",
        ),
    ],
)
def test_refuse_unsupported__strategies(given: dict[str, Any], strategy: dict[str, Any], says: str) -> None:
    assert says in refused(text((given, strategy)))


@pytest.mark.parametrize(
    ("block", "value"),
    [
        ("video", {"sampling": {"every_s": 1}}),
        ("datapool", {"name": "kept"}),
        ("predictions", {}),
        ("metadata", {}),
        ("limits", {"max_failed_chunks": 1}),
    ],
)
def test_refuse_unsupported__blocks(block: str, value: object) -> None:
    assert refused({**text(), block: value}).startswith(block)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mode", "submodular"),
        ("groups", {"key": "drive"}),
        ("quotas", [{"key": "camera", "at_most": 3}]),
        ("protected", {"query": {"job": "a"}, "radius": 0.1}),
        ("lightly_path_regex", "(?P<camera>.*)/"),
        ("auto_tasks", [{"type": "TILING", "name": "t", "num_rows": 2, "num_cols": 2}]),
    ],
)
def test_refuse_unsupported__extensions(key: str, value: object) -> None:
    assert refused(text(**{key: value})).startswith(f"selection.{key}: ")


@pytest.mark.parametrize(
    ("key", "value"),
    [("process", "new"), ("input_expiration", {"min_days_to_expiration": 1, "handling_strategy": "SKIP"})],
)
def test_refuse_unsupported__datasource(key: str, value: object) -> None:
    job = text()
    job["datasource"][key] = value
    assert refused(job).startswith(f"datasource.{key}: ")


def test_refuse_unsupported__other_kinds() -> None:
    job = {"kind": "evaluation", "name": "a", "datasource": {"output": "/out"}, "space": "a", "labels": "b"}
    assert refused(job) == "kind: evaluation is not available in framesift 0.1; available: selection"


def test_refuse_unsupported__names_everything_at_once() -> None:
    found = refused(text((EMBEDDINGS, {"type": "TYPICALITY"}), mode="submodular"))
    assert "selection.mode: 'submodular' is not available" in found
    assert "; selection.strategies.0.strategy.type: TYPICALITY" in found


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_refuse_unsupported__lightlyone_examples(path: Path) -> None:
    job = {**text(), "selection": json.loads(path.read_text())}
    if path.stem in {"visual_diversity", "threshold_sharpness", "threshold_uniform_rows", "random_selection"}:
        check(job)
    else:
        assert "selection.strategies." in refused(job)
