"""Jobs that this machine can run, or not."""

from pathlib import Path

import pytest

from tests.photos import make_photos
from tests.servers import S3Server
from tests.worker.runs import job, prepared
from worker.errors import JobRejected


def test_prepare__sees_through_links_that_lead_the_output_into_the_input(tmp_path: Path) -> None:
    make_photos(tmp_path / "in", 1)
    (tmp_path / "link").symlink_to(tmp_path / "in")
    with pytest.raises(JobRejected, match=r"datasource\.output: .* inside the input"):
        prepared(job(tmp_path / "in", tmp_path / "link"))
    with pytest.raises(JobRejected, match=r"datasource\.output: .* inside the input"):
        prepared(job(tmp_path / "link", tmp_path / "in" / "out"))


def test_prepare__two_connections_to_one_bucket_are_one_place(moto: S3Server) -> None:
    connections = {"a": moto.connection(), "b": moto.connection()}
    document = job("", "")
    document["datasource"] = {
        "input": {"url": "s3://photos/x/", "connection": "a"},
        "output": {"url": "s3://photos/x/out/", "connection": "b"},
    }
    with pytest.raises(JobRejected, match=r"datasource\.output: .* inside the input"):
        prepared(document, connections=connections)
    document["datasource"]["output"]["url"] = "s3://photos/y/"
    assert prepared(document, connections=connections).output.url == "s3://photos/y/"


def test_prepare__a_job_lowers_limits_and_never_raises_them(tmp_path: Path) -> None:
    document = job(tmp_path, tmp_path / "../out", limits={"max_pixels": 10**12, "max_object_bytes": 1000})
    limits = prepared(document, limits={"max_pixels": 5000}).limits
    assert (limits.max_pixels, limits.max_object_bytes) == (5000, 1000)
