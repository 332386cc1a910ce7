"""A Redis that dies, hangs, forgets or loses a message: the bucket knows the rest, and the reconciler sends it again."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.client import Client
from jobs.errors import QueueError
from tests.deployment import (
    LEASE_S,
    LOST_AFTER_S,
    Deployment,
    artefacts,
    deployment,
    tries_beyond_one,
    wait_for,
    wait_for_chunks,
    wait_until_ended,
)
from tests.worker.runs import job
from worker.storage.local import LocalStore

Note = Callable[[str, object], None]
ROUND_S = 0.5
"""Seconds between two looks of the reconciler here."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Iterator[Deployment]:
    """Two workers, slow enough to be caught at work, and a beat."""
    with deployment(tmp_path_factory.mktemp("redis") / "deployment") as found:
        found.inputs.rmdir()
        found.inputs.symlink_to(photos)
        for name in ("one", "two"):
            found.worker(name, fault="slow=0.3,no-pdf", health_file=found.folder / name)
        found.beat(health_file=found.folder / "beat")
        yield found
        for name in ("one", "two", "beat"):
            assert "Traceback" not in found.said(name), found.said(name)
            assert found.processes[name].poll() is None, f"{name} ended"


@pytest.fixture
def client(running: Deployment) -> Client:
    return running.client()


def begin(running: Deployment, name: str, *, chunks: int = 2, **options: Any) -> tuple[str, Path]:
    """Submit a job with an output of its own, and wait until some of its chunks are done."""
    output = running.outputs / name
    job_id = running.client().submit(job(running.inputs, output), **options).job_id
    wait_for_chunks(running.client(), job_id, chunks)
    return job_id, output


def more_done(client: Client, job_id: str, than: int) -> bool:
    try:
        status = client.status(job_id)
    except QueueError:
        return False
    return status.ended or (status.chunks is not None and status.chunks.done > than)


def done(client: Client, job_id: str) -> int:
    chunks = client.status(job_id).chunks
    assert chunks is not None
    return chunks.done


def test_redis__killed_and_started_again_on_its_append_only_file(
    running: Deployment, client: Client, calm: dict[str, Any], record_property: Note
) -> None:
    job_id, output = begin(running, "restarted")
    before = done(client, job_id)
    running.redis.kill()
    signs = {name: running.folder / name for name in ("one", "two", "beat")}
    killed_at = time.time()
    wait_for(
        lambda: all(sign.stat().st_mtime > killed_at + 1 for sign in signs.values()),
        "signs of life while Redis is away",
    )
    running.redis.start()
    began = time.monotonic()
    wait_for(lambda: more_done(client, job_id, before), "another chunk")
    record_property("next chunk after Redis is back, s", round(time.monotonic() - began, 1))
    assert wait_until_ended(client, job_id).state == "done"
    record_property("steps begun again", tries_beyond_one(client, job_id))
    assert artefacts(LocalStore(output), job_id) == calm


def test_redis__silent_for_longer_than_a_lease(
    running: Deployment, client: Client, calm: dict[str, Any], record_property: Note
) -> None:
    job_id, output = begin(running, "paused")
    before = done(client, job_id)
    running.redis.pause()
    time.sleep(2.5 * LEASE_S)
    running.redis.go_on()
    began = time.monotonic()
    wait_for(lambda: more_done(client, job_id, before), "another chunk")
    record_property("next chunk after Redis is back, s", round(time.monotonic() - began, 1))
    assert wait_until_ended(client, job_id).state == "done"
    begun_again = tries_beyond_one(client, job_id)
    record_property("steps begun again", begun_again)
    assert begun_again <= 4
    assert artefacts(LocalStore(output), job_id) == calm


def test_redis__that_has_lost_everything_is_told_by_the_outputs(
    running: Deployment, client: Client, calm: dict[str, Any], record_property: Note
) -> None:
    job_id, output = begin(running, "flushed", idempotency_key="monday")
    schedule = client.add_schedule(
        "nightly", cron="0 2 1 1 *", timezone="Europe/Berlin", job=job(running.inputs, output)
    )
    copy = output / ".framesift" / "schedules" / "nightly.json"
    wait_for(copy.is_file, "the copy of the schedule")
    before = client.status(job_id)
    assert before.accepted_at, "what was accepted must not be lost"

    running.redis.client().flushall()
    flushed_at = time.monotonic()
    wait_for(lambda: client._records.find(job_id), "the job's record")
    known_s = time.monotonic() - flushed_at
    again = client.submit(job(running.inputs, output), idempotency_key="monday")
    assert again.job_id == job_id
    assert again.submitted_at == before.submitted_at
    wait_for(lambda: [told.schedule for told in client.schedules.all()] == [schedule], "the schedule")
    wait_for(lambda: client.status(job_id).chunks, "the plan")
    planned_s = time.monotonic() - flushed_at
    assert wait_until_ended(client, job_id).state == "done"
    assert artefacts(LocalStore(output), job_id) == calm
    assert len(list(output.glob("night/*/done.json"))) == 1
    assert [one.job_id for one in client.list()].count(job_id) == 1
    record_property("job known again after FLUSHALL, s", round(known_s, 1))
    record_property("job planned again after FLUSHALL, s", round(planned_s, 1))
    record_property("steps begun again", tries_beyond_one(client, job_id))
    client.schedules.remove("nightly")
    wait_for(lambda: not copy.exists(), "the copy of a removed schedule to go")


def test_reconciler__finds_a_message_that_was_lost_within_two_rounds(
    running: Deployment, client: Client, calm: dict[str, Any], record_property: Note
) -> None:
    job_id, output = begin(running, "lost", chunks=1)
    redis = running.redis.client()
    message = redis.lpop("framesift:gpu")  # the one that would be taken last
    assert isinstance(message, str)
    step = json.loads(message)["headers"]["id"].rpartition("/")[2]
    sent_at = client._records.flight(job_id)[step]
    wait_for(lambda: client._records.flight(job_id).get(step) != sent_at, "it to be sent again")
    found_s = client._records.now() - sent_at
    record_property("sent again after it was sent, s", round(found_s, 1))
    assert found_s < LOST_AFTER_S + 2 * ROUND_S + 1
    assert wait_until_ended(client, job_id).state == "done"
    record_property("steps begun again", tries_beyond_one(client, job_id))
    assert tries_beyond_one(client, job_id) == 0
    assert artefacts(LocalStore(output), job_id) == calm


def test_beat__that_was_absent_and_then_is_there_twice_sends_once(
    running: Deployment, client: Client, calm: dict[str, Any]
) -> None:
    assert running.stop("beat") == 0
    job_id, output = begin(running, "beatless", chunks=1)
    assert running.redis.client().lpop("framesift:gpu")
    chunks = client.status(job_id).chunks
    assert chunks is not None
    wait_for_chunks(client, job_id, chunks.total - 1)
    time.sleep(LOST_AFTER_S)
    assert client.status(job_id).stage == "embed", "nobody misses the message"
    requeued = client._records.totals().get("requeued", 0)
    running.beat("second")
    running.beat(health_file=running.folder / "beat")
    assert wait_until_ended(client, job_id).state == "done"
    assert client._records.totals()["requeued"] == requeued + 1
    assert artefacts(LocalStore(output), job_id) == calm
    assert running.stop("second") == 0
