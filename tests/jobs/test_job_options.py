"""Jobs from options."""

import json

import pytest

from jobs.errors import JobRejected
from jobs.job_options import job_document

OPTIONS = {"datasource.input": "in", "datasource.output": "out", "selection.n_samples": 5}


def test_job_document__from_options_alone() -> None:
    document = job_document(None, options=OPTIONS, assignments=[])
    assert document["datasource"] == {"input": "in", "output": "out"}
    assert document["selection"]["n_samples"] == 5
    assert document["selection"]["strategies"][0]["strategy"] == {"type": "DIVERSITY"}


def test_job_document__options_and_assignments_change_a_file() -> None:
    text = json.dumps(
        {"name": "a", "selection": {"n_samples": 1, "strategies": [{"strategy": {"type": "X"}}]}}
    ).encode()
    document = job_document(
        text,
        options={"name": "b"},
        assignments=[
            "selection.n_samples=7",
            "selection.strategies.0.strategy.type=DIVERSITY",
            "seed=3",
            "report.images=none",
        ],
    )
    assert document["name"] == "b"
    assert document["selection"] == {"n_samples": 7, "strategies": [{"strategy": {"type": "DIVERSITY"}}]}
    assert document["seed"] == 3
    assert document["report"] == {"images": "none"}


@pytest.mark.parametrize(
    ("assignment", "place"),
    [
        ("novalue", "KEY=VALUE"),
        ("=1", "KEY=VALUE"),
        ("name.x=1", "has no keys"),
        ("selection.strategies.3.x=1", "1 items"),
    ],
)
def test_job_document__refuses_what_cannot_be_set(assignment: str, place: str) -> None:
    with pytest.raises(JobRejected, match=place):
        job_document(None, options={**OPTIONS, "name": "n"}, assignments=[assignment])


def test_job_document__says_which_option_is_missing() -> None:
    with pytest.raises(JobRejected, match=r"missing: --output"):
        job_document(None, options={"datasource.input": "in", "selection.n_samples": 5}, assignments=[])
