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
FOLDER = {"type": "METADATA", "key": "lightly.folder"}
CAMERA = {"type": "METADATA", "key": "camera"}
RANDOM = {"type": "RANDOM", "random_seed": 3}
DIVERSITY = {"type": "DIVERSITY", "strength": 2, "stopping_condition_minimum_distance": 0.1}
WEIGHTS = {"type": "WEIGHTS", "stopping_condition_max_sum": 3}
TARGET_RANGE = {"type": "WEIGHTS", "target_range": {"min_sum": 3}}
THRESHOLD = {"type": "THRESHOLD", "threshold": 0.5, "operation": "BIGGER"}
BALANCE = {"type": "BALANCE", "distribution": "INPUT"}
REGEX = {"lightly_path_regex": "(?P<camera>.*)/"}


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
        (EMBEDDINGS, {"type": "TYPICALITY"}),
        ({**EMBEDDINGS, "query": {"job": "a"}}, {"type": "SIMILARITY"}),
        ({**EMBEDDINGS, "query": {"keys": ["a.jpg"]}}, {"type": "SIMILARITY"}),
        (SHARPNESS, THRESHOLD),
        (SHARPNESS, WEIGHTS),
        (SHARPNESS, TARGET_RANGE),
        (FOLDER, BALANCE),
        (CAMERA, BALANCE),
        (CAMERA, WEIGHTS),
        (CAMERA, THRESHOLD),
        (RANDOM, THRESHOLD),
        (RANDOM, WEIGHTS),
    ],
)
def test_refuse_unsupported__passes_what_is_there(given: dict[str, Any], strategy: dict[str, Any]) -> None:
    check(text((given, strategy), **REGEX))


@pytest.mark.parametrize(
    "extension",
    [
        {"mode": "gain_product"},
        {"mode": "submodular"},
        {"groups": {"key": "camera"}},
        {"groups": {"key": "lightly.folder", "tolerance_s": 0.1, "time_key": "camera"}},
        {"quotas": [{"key": "video_name", "at_most": 3}, {"key": "day", "at_least": 3}]},
        {"selected_sequence_length": 5, "min_gap_s": 2},
        {"quotas": [{"key": "lightly.extension", "at_most": 3}, {"key": "camera", "at_most": 3}]},
        {"protected": {"query": {"keys": ["a"]}, "radius": 0.1}},
        {"protected": {"query": {"datapool": "a"}, "radius": 0.1}},
    ],
)
def test_refuse_unsupported__passes_the_extensions(extension: dict[str, Any]) -> None:
    check(text(**REGEX, **extension))


def test_refuse_unsupported__passes_the_blocks_that_are_there() -> None:
    job = text()
    job["datasource"]["relevant_filenames"] = ".lightly/relevant.txt"
    job["datasource"]["process"] = "new"
    job["datasource"]["input_expiration"] = {"min_days_to_expiration": 1, "handling_strategy": "SKIP"}
    job["datapool"] = {"name": "kept"}
    check(
        {**job, "embedding": {"dimension": None}, "limits": {"max_pixels": 9}, "report": {"images": "none"}}
    )


INPUT = "selection.strategies.0.input"


@pytest.mark.parametrize(
    ("given", "strategy", "says"),
    [
        (
            {**EMBEDDINGS, "dataset_id": "a"},
            {"type": "SIMILARITY"},
            f"{INPUT}.dataset_id: there are no LightlyOne datasets and tags here; use input.query",
        ),
        (
            {**EMBEDDINGS, "tag_name": "a"},
            {"type": "SIMILARITY"},
            f"{INPUT}.tag_name: there are no LightlyOne datasets and tags here; use input.query",
        ),
        (
            {**EMBEDDINGS, "task": "cars"},
            DIVERSITY,
            f"{INPUT}.task: embedding the objects of a task is not available in framesift 0.1",
        ),
        (
            {"type": "METADATA", "key": "lightly.sharpnes"},
            THRESHOLD,
            f"{INPUT}.key: no metadata 'lightly.sharpnes'; choose from camera, lightly.luminance, lightly.sharpness,"
            " lightly.uniformRowRatio; did you mean 'lightly.sharpness'?",
        ),
        (
            SHARPNESS,
            BALANCE,
            f"{INPUT}.key: BALANCE needs a category, which 'lightly.sharpness' is not; choose from camera, day,"
            " lightly.extension, lightly.folder, video_name",
        ),
        (FOLDER, WEIGHTS, f"{INPUT}.key: WEIGHTS needs numbers, which 'lightly.folder' is not; choose from"),
        (
            {"type": "METADATA", "key": "camra"},
            BALANCE,
            f"{INPUT}.key: no metadata 'camra'; choose from camera, day, lightly.extension, lightly.folder, video_name;"
            " did you mean 'camera'?; lightly_path_regex makes metadata of names, and reading metadata of your own is not",
        ),
        (
            {"type": "SCORES", "task": "cars", "score": "s"},
            WEIGHTS,
            f"{INPUT}.type: WEIGHTS on SCORES is not available in framesift 0.1; available: EMBEDDINGS, METADATA, RANDOM",
        ),
        (
            {"type": "PREDICTIONS", "name": "CATEGORY_COUNT", "task": "cars", "categories": ["car"]},
            WEIGHTS,
            "WEIGHTS on PREDICTIONS is not available",
        ),
        (
            {"type": "PREDICTIONS", "name": "CLASS_DISTRIBUTION", "task": "cars"},
            BALANCE,
            "BALANCE on PREDICTIONS is not available",
        ),
    ],
)
def test_refuse_unsupported__strategies(given: dict[str, Any], strategy: dict[str, Any], says: str) -> None:
    assert refused(text((given, strategy), **REGEX)).startswith(says if says.startswith(INPUT) else INPUT)
    assert says in refused(text((given, strategy), **REGEX))


@pytest.mark.parametrize(
    ("block", "value"),
    [
        ("predictions", {}),
        ("metadata", {}),
    ],
)
def test_refuse_unsupported__blocks(block: str, value: object) -> None:
    assert refused({**text(), block: value}).startswith(block)


@pytest.mark.parametrize(
    ("selection", "says"),
    [
        (
            {"auto_tasks": [{"type": "TILING", "name": "t", "num_rows": 2, "num_cols": 2}]},
            "auto_tasks: TILING",
        ),
        (
            {"groups": {"key": "drive"}},
            "groups.key: no metadata 'drive'; choose from camera, day, lightly.ext",
        ),
        (
            {"groups": {"key": "lightly.sharpness"}},
            "groups.key: a group needs a category, which 'lightly.sharpness' is not; choose from camera, day,",
        ),
        (
            {"quotas": [{"key": "lightly.folder", "at_most": 3}, {"key": "x", "at_most": 3}]},
            "quotas.1.key: no met",
        ),
        (
            {"groups": {"key": "day", "tolerance_s": 0.1, "time_key": "camera"}},
            "groups.time_key: a time needs numbers, which 'camera' is not",
        ),
    ],
)
def test_refuse_unsupported__extensions(selection: dict[str, Any], says: str) -> None:
    assert refused(text(**selection)).startswith(f"selection.{says}")


def test_refuse_unsupported__other_kinds() -> None:
    job = {"kind": "evaluation", "name": "a", "datasource": {"output": "/out"}, "space": "a", "labels": "b"}
    assert refused(job) == "kind: evaluation is not available in framesift 0.1; available: selection"


def test_refuse_unsupported__names_everything_at_once() -> None:
    scores = {"type": "SCORES", "task": "cars", "score": "s"}
    found = refused(text((scores, WEIGHTS), groups={"key": "drive"}))
    assert found.startswith("selection.strategies.0.input.type: WEIGHTS on SCORES is not available")
    assert "; selection.groups.key: no metadata 'drive'" in found


def test_refuse_unsupported__lightlyone_examples() -> None:
    runs = {
        path.stem
        for path in EXAMPLES.glob("*.json")
        if _runs({**text(), "selection": json.loads(path.read_text())})
    }
    assert runs == {
        "visual_diversity",
        "threshold_sharpness",
        "threshold_uniform_rows",
        "random_selection",
        "typical_images",
        "video_balancing",
    }


def _runs(job: dict[str, Any]) -> bool:
    try:
        check(job)
    except JobRejected:
        return False
    return True
