from typing import Any

import pytest

from jobs.errors import JobRejected
from jobs.spec import SelectionJob, parse_job
from tests.worker.runs import job
from worker.queued.allowed import refuse_other_places
from worker.settings import Settings

OUTPUTS = ["s3://curation/fleet", {"url": "s3://berlin/", "connection": "b"}]


def queued(source: Any, output: Any) -> SelectionJob:
    document = job("", "")
    document["datasource"] = {"input": source, "output": output}
    parsed = parse_job(document)
    assert isinstance(parsed, SelectionJob)
    return parsed


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("s3://recordings/", "s3://curation/fleet/"),
        ("s3://recordings/x", "s3://curation/fleet/a/b"),
        ("s3://recordings/", {"url": "s3://berlin/a/", "connection": "b"}),
    ],
)
def test_refuse_other_places__lets_through_what_lies_below(source: Any, output: Any) -> None:
    refuse_other_places(queued(source, output), Settings(outputs=OUTPUTS))


def test_refuse_other_places__a_listing_is_read_too() -> None:
    document = job("s3://recordings/", "s3://curation/fleet/")
    document["datasource"] |= {"input": "/data/photos/", "listing": "/etc/x.parquet"}
    parsed = parse_job(document)
    assert isinstance(parsed, SelectionJob)
    with pytest.raises(JobRejected, match=r"^datasource.listing: /etc/x.parquet is below none"):
        refuse_other_places(parsed, Settings(outputs=OUTPUTS, inputs=["/data"]))


@pytest.mark.parametrize(
    ("source", "output", "inputs", "says"),
    [
        ("s3://recordings/", "s3://curation/", [], "datasource.output: s3://curation/ is below none"),
        ("s3://recordings/", "s3://curation/fleet2/", [], "datasource.output: s3://curation/fleet2/ is"),
        ("s3://recordings/", "s3://berlin/", [], "datasource.output: s3://berlin/ is below none"),
        ("s3://recordings/", "/tmp/x", [], "datasource.output: /tmp/x/ is below none"),
        ("/etc", "s3://curation/fleet/", [], "datasource.input: /etc/ is on the worker's machine"),
        ("/data/../etc", "s3://curation/fleet/", ["/data"], "datasource.input: /etc/ is below none"),
        ("s3://other/", "s3://curation/fleet/", ["s3://recordings/"], "datasource.input: s3://other/ is"),
    ],
)
def test_refuse_other_places__names_place_and_choices(
    source: Any, output: Any, inputs: list[str], says: str
) -> None:
    with pytest.raises(JobRejected) as refused:
        refuse_other_places(queued(source, output), Settings(outputs=OUTPUTS, inputs=inputs))
    assert str(refused.value).startswith(says)
