import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.errors import JobRejected
from jobs.spec import (
    ComparisonJob,
    EvaluationJob,
    SelectionJob,
    TrainingJob,
    canonical_json,
    job_schema,
    parse_job,
    parse_job_with_warnings,
)

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((Path(__file__).parent / "examples").glob("*.json"))
PLACE = {"input": "s3://recordings/2026-11-20/", "output": "s3://curation/"}
DIVERSITY = {"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}}
SMALLEST: dict[str, Any] = {
    "kind": "selection",
    "name": "night-berlin",
    "datasource": PLACE,
    "selection": {"n_samples": 500, "strategies": [DIVERSITY]},
}
FULL: dict[str, Any] = {
    **SMALLEST,
    "seed": 7,
    "datasource": {
        "input": {"url": "s3://recordings/a/", "connection": "minio"},
        "output": "s3://curation/",
        "process": "new",
        "relevant_filenames": ".lightly/relevant.txt",
        "input_expiration": {"min_days_to_expiration": 2, "handling_strategy": "ABORT"},
    },
    "selection": {
        "proportion_samples": 0.1,
        "strategies": [
            DIVERSITY,
            {
                "input": {"type": "EMBEDDINGS", "query": {"keys": ["a.jpg"]}},
                "strategy": {"type": "SIMILARITY", "strength": -1},
            },
            {
                "input": {"type": "METADATA", "key": "city"},
                "strategy": {"type": "BALANCE", "target": {"Berlin": 0.5}},
            },
            {"input": {"type": "RANDOM"}, "strategy": {"type": "WEIGHTS", "target_range": {"min_sum": 1}}},
        ],
        "auto_tasks": [{"type": "TILING", "name": "tiles", "num_rows": 2, "num_cols": 2}],
        "groups": {"key": "drive"},
        "quotas": [{"key": "camera", "at_most": 3}],
        "protected": {"query": {"job": "test"}, "radius": 0.1},
    },
    "embedding": {"model": {"type": "timm", "name": "vit"}, "dimension": None, "normalize": False},
    "video": {"sampling": {"fps": 2}},
    "datapool": {"name": "kept"},
    "predictions": {"location": "s3://predictions/"},
    "metadata": {},
    "limits": {"max_pixels": 1000, "decode_timeout_s": 5, "max_object_bytes": 10, "max_failed_chunks": 1},
    "report": {"images": "blur"},
}
COMPARISON = {
    "kind": "comparison",
    "name": "two",
    "datasource": {"output": "/out"},
    "spaces": ["a", "b"],
    "k": [10],
}
EVALUATION = {
    "kind": "evaluation",
    "name": "one",
    "datasource": {"output": "/out"},
    "space": "a",
    "labels": "city",
}
TRAINING = {"kind": "training", "name": "own", "datasource": PLACE, "method": "simclr", "epochs": 20}


def refused(text: Any) -> str:
    with pytest.raises(JobRejected) as caught:
        parse_job(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_parse_job__smallest_has_the_documented_defaults() -> None:
    job = parse_job(json.dumps(SMALLEST))
    assert isinstance(job, SelectionJob)
    assert job.seed == 0
    assert job.embedding.model.model_dump() == {"type": "efficientnet_lite0"}
    assert (job.embedding.dimension, job.embedding.normalize) == (32, True)
    assert job.datasource.process == "all"
    assert job.selection.mode == "objective_product"
    assert job.limits.max_failed_chunks == 0
    assert job.report.images == "thumb"
    assert job.video.sampling.frames == "all"
    assert (job.datapool, job.predictions, job.metadata) == (None, None, None)


@pytest.mark.parametrize(
    ("text", "kind"),
    [(FULL, SelectionJob), (COMPARISON, ComparisonJob), (EVALUATION, EvaluationJob), (TRAINING, TrainingJob)],
)
def test_parse_job__every_kind_and_block(text: dict[str, Any], kind: type) -> None:
    job = parse_job(text)
    assert isinstance(job, kind)
    assert parse_job(canonical_json(job)) == job


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_parse_job__lightlyone_examples(path: Path) -> None:
    selection = json.loads(path.read_text())
    found = parse_job_with_warnings({**SMALLEST, "selection": selection})
    assert isinstance(found.job, SelectionJob)
    assert len(found.job.selection.strategies) == len(selection["strategies"])
    assert bool(found.warnings) == (path.stem == "typical_images")
    assert parse_job(canonical_json(found.job)) == found.job


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ({}, "kind: required, but missing; one of selection, comparison, evaluation, training"),
        ({**SMALLEST, "kind": "selections"}, "(got 'selections'); did you mean 'selection'?"),
        (
            {**SMALLEST, "kind": ["selection"]},
            "kind: should be one of selection, comparison, evaluation, training",
        ),
        ({**SMALLEST, "sed": 1}, "sed: unknown key 'sed'; did you mean 'seed'?"),
        ({**SMALLEST, "a\nb": 1}, r"'a\nb': unknown key 'a\nb'"),
        ({**SMALLEST, "seed": -1}, "seed: should be greater than or equal to 0 (got -1)"),
        ({**SMALLEST, "seed": 2**63}, "seed: should be less than or equal to"),
        ({**SMALLEST, "seed": "1"}, "seed: should be a whole number (got '1')"),
        ({**SMALLEST, "selection": []}, "selection: should be an object (got [])"),
        ({**SMALLEST, "datasource": {}}, "datasource.output: required, but missing (and 1 more)"),
        (
            {**SMALLEST, "embedding": {"dimension": 4097}},
            "embedding.dimension: should be less than or equal to 4096",
        ),
        ({**SMALLEST, "embedding": {"normalize": 1}}, "embedding.normalize: should be true or false (got 1)"),
        ({**SMALLEST, "embedding": {"model": {"name": "x"}}}, "embedding.model.type: required, but missing"),
        (
            {**SMALLEST, "embedding": {"model": {"type": "../x"}}},
            "embedding.model.type: should match pattern",
        ),
        (
            {**SMALLEST, "embedding": {"model": {"type": "timm", "name": "x" * 5000}}},
            "embedding.model: the parameters take 5012 bytes as JSON; at most 4096",
        ),
        (
            {**SMALLEST, "video": {"sampling": {}}},
            "video.sampling: give all, keyframes, or exactly one of fps, every",
        ),
        ({**SMALLEST, "limits": {"max_pixel": 1}}, "did you mean 'max_pixels'?"),
        (
            {**SMALLEST, "limits": {"max_pixels": 0}},
            "limits.max_pixels: should be greater than or equal to 1",
        ),
        (
            {**SMALLEST, "report": {"images": "blurr"}},
            "should be one of none, blur, thumb (got 'blurr'); did you mean",
        ),
        ({**SMALLEST, "datapool": {"name": "a/b"}}, "datapool.name: should be 1 to 100 of"),
        ({**COMPARISON, "spaces": ["a"]}, "spaces: should have 2 items at least"),
        ({**COMPARISON, "spaces": ["a", "a"]}, "spaces: each should be given once"),
        ({**COMPARISON, "k": [10, 0]}, "k.1: should be greater than or equal to 1 (got 0)"),
        ({**COMPARISON, "datasource": PLACE}, "datasource.input: unknown key 'input'; known are output"),
        ({**TRAINING, "method": "byol"}, "method: should be simclr (got 'byol')"),
        (
            {**TRAINING, "datasource": {"input": "/x", "output": "/x"}},
            "datasource.output: should not be the input",
        ),
    ],
)
def test_parse_job__refuses_with_place_value_and_choices(text: dict[str, Any], says: str) -> None:
    assert says in refused(text)


@pytest.mark.parametrize("name", ["a", "night-berlin", "2026.11.20 night_1", "_x", "A" * 100])
def test_name__fit_for_a_folder(name: str) -> None:
    assert parse_job({**SMALLEST, "name": name}).name == name


@pytest.mark.parametrize(
    "name", ["", ".x", "..", "-x", " x", "x ", "x.", "a/b", "a\\b", "a\nb", "x\n", "ä", "A" * 101]
)
def test_name__refuses_what_is_not(name: str) -> None:
    assert refused({**SMALLEST, "name": name}).startswith("name: should be 1 to 100 of A-Z")


def test_parse_job__lone_surrogates_are_refused_not_crashed_on() -> None:
    for place in ("embedding", "key", "url"):
        text = copy.deepcopy(FULL)
        if place == "embedding":
            text["embedding"]["model"]["name"] = "\ud800"
        elif place == "key":
            text["\ud800"] = 1
        else:
            text["datasource"]["input"] = "s3://bucket/\ud800"
        refused(text).encode()


def objects(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield where in a job the objects with fixed keys are."""
    if isinstance(value, dict):
        if path[-1:] != ("target",) and path[-1:] != ("model",):
            yield path
        for key, inside in value.items():
            yield from objects(inside, (*path, key))
    elif isinstance(value, list):
        for row, inside in enumerate(value):
            yield from objects(inside, (*path, row))


@settings(max_examples=150, deadline=None)
@given(where=st.sampled_from(list(objects(FULL))), key=st.text(min_size=1, max_size=5))
def test_parse_job__an_unknown_key_anywhere_is_named(where: tuple[str | int, ...], key: str) -> None:
    text = copy.deepcopy(FULL)
    inside: Any = text
    for part in where:
        inside = inside[part]
    key = f"{key}?"
    inside[key] = 1
    found = refused(text)
    assert found.startswith(".".join([*map(str, where), repr(key)]) + ": unknown key ")


number = st.floats(min_value=-1e9, max_value=1e9)
share = st.floats(min_value=0, max_value=0.2)
given_strategy = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("WEIGHTS")},
        optional={"strength": number, "stoppingConditionMaxSum": st.floats(0, 1e9)},
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("THRESHOLD"),
            "threshold": st.one_of(st.integers(-(2**60), 2**60), number),
            "operation": st.sampled_from(["SMALLER", "BIGGER_EQUAL"]),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("BALANCE"),
            "target": st.dictionaries(
                st.text(st.characters(codec="utf-8"), min_size=1), share, min_size=1, max_size=5
            ),
        },
        optional={"strength": number, "distribution": st.just("TARGET")},
    ),
)


@settings(max_examples=150, deadline=None)
@given(
    strategies=st.lists(given_strategy, min_size=1, max_size=4),
    key=st.text(st.characters(codec="utf-8"), min_size=1, max_size=30),
    proportion=st.floats(min_value=1e-9, max_value=1),
    seed=st.integers(0, 2**63 - 1),
    parameters=st.dictionaries(
        st.text("abc", min_size=1, max_size=3),
        st.one_of(
            st.none(), st.booleans(), st.integers(), number, st.text(st.characters(codec="utf-8"), max_size=9)
        ),
        max_size=4,
    ),
)
def test_canonical_json__parses_back_to_an_equal_job(
    strategies: list[dict[str, Any]], key: str, proportion: float, seed: int, parameters: dict[str, Any]
) -> None:
    job = parse_job(
        {
            **SMALLEST,
            "seed": seed,
            "embedding": {"model": {"type": "own", **parameters}},
            "selection": {
                "proportionSamples": proportion,
                "strategies": [
                    {"input": {"type": "METADATA", "key": key}, "strategy": strategy}
                    for strategy in strategies
                ],
            },
        }
    )
    text = canonical_json(job)
    assert parse_job(text) == job
    assert canonical_json(parse_job(text)) == text


def test_canonical_json__the_order_of_keys_and_their_spelling_do_not_matter() -> None:
    camel = {**SMALLEST, "selection": {"strategies": [DIVERSITY], "nSamples": 500}}
    turned = dict(reversed(camel.items()))
    assert canonical_json(parse_job(turned)) == canonical_json(parse_job(SMALLEST))


def test_job_schema__copy_in_docs_is_fresh() -> None:
    copy_in_docs = json.loads((ROOT / "docs" / "job.schema.json").read_text())
    assert copy_in_docs == job_schema(), "stale; run: framesift schema > docs/job.schema.json"


def test_job_schema__every_property_is_described() -> None:
    schema = job_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    missing = [
        f"{name}.{key}"
        for name, part in schema["$defs"].items()
        for key, value in part.get("properties", {}).items()
        if not value.get("description")
    ]
    assert missing == []


@pytest.mark.parametrize(
    "text", [SMALLEST, FULL, COMPARISON, EVALUATION, TRAINING], ids=lambda text: text["name"]
)
def test_job_schema__accepts_jobs_and_their_canonical_form(text: dict[str, Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(job_schema())
    jsonschema.Draft202012Validator.check_schema(job_schema())
    validator.validate(text)
    validator.validate(json.loads(canonical_json(parse_job(text))))
    assert not validator.is_valid({**text, "unknown": 1})


def test_jobs__import_nothing_heavy() -> None:
    script = (
        "import sys, jobs.spec\n"
        "print([name for name in ('numpy', 'torch', 'boto3', 'faiss', 'worker') if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_parse_job__every_job_in_the_guide() -> None:
    guide = (ROOT / "docs" / "job.md").read_text()
    blocks = re.findall(r"```json\n(.*?)```", guide, flags=re.DOTALL)
    assert [parse_job(block).kind for block in blocks] == [
        "selection",
        "selection",
        "selection",
        "comparison",
        "evaluation",
        "training",
    ]
