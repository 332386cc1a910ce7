"""A job in pieces: planned here, computed chunk by chunk anywhere, selected by a run that finds it all."""

from pathlib import Path

import pytest

from tests.photos import make_photos
from tests.worker.runs import job, prepared, select, timeless
from worker.errors import JobFailed, JobRejected, StorageError
from worker.events import Events
from worker.one_chunk import run_chunk
from worker.planned import plan_job


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    make_photos(tmp_path / "in", 30)
    return tmp_path / "in"


def test_plan_job__then_chunks_then_run_is_one_job(photos: Path, tmp_path: Path) -> None:
    ready = prepared(job(photos, tmp_path / "out"))
    planned = plan_job(ready, Events())
    assert (planned.sources, planned.connection) == (30, None)
    assert planned.chunks > 2
    assert plan_job(ready, Events()) == planned  # until it has ended, it is the same run
    for index in reversed(range(planned.chunks)):
        said = run_chunk(planned.plan, index, connection=None, settings=ready.settings)
        assert said.startswith(f"chunk {index}: ")
    assert run_chunk(planned.plan, 0, connection=None, settings=ready.settings) == "chunk 0: already done"
    again = prepared(job(photos, tmp_path / "out"))
    made = select(again)
    assert made.results.job_id == planned.job_id
    assert made.read_count == again.source.usage.requests.get("GET", 0) == 0
    assert timeless(made) == timeless(select(prepared(job(photos, tmp_path / "plain"))))
    made.results.close("done")
    assert plan_job(ready, Events()).job_id != planned.job_id


def test_plan_job__fresh_lists_again(photos: Path, tmp_path: Path) -> None:
    ready = prepared(job(photos, tmp_path / "out"))
    first = plan_job(ready, Events())
    make_photos(photos, 1, first=100)
    assert plan_job(ready, Events()).sources == 30
    second = plan_job(ready, Events(), fresh=True)
    assert (second.sources, second.job_id > first.job_id) == (31, True)


def test_run_chunk__a_wrong_call_is_refused_and_a_lost_input_fails(photos: Path, tmp_path: Path) -> None:
    ready = prepared(job(photos, tmp_path / "out"))
    planned = plan_job(ready, Events())
    for plan, index in ((planned.plan, planned.chunks), (planned.plan, -1), (f"{planned.plan}.old", 0)):
        with pytest.raises(JobRejected, match=r"^--(index|plan): "):
            run_chunk(plan, index, connection=None, settings=ready.settings)
    photos.rename(tmp_path / "away")
    with pytest.raises((JobFailed, StorageError)):
        run_chunk(planned.plan, 0, connection=None, settings=ready.settings)
    (tmp_path / "away").rename(photos)
    assert "0 skipped" in run_chunk(planned.plan, 0, connection=None, settings=ready.settings)
