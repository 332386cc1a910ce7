"""Work that can never be done, messages that mean nothing, and jobs that are not wanted any more."""

import json
import shutil
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.queue import make_app
from jobs.settings import QueueSettings, read_settings
from tests.deployment import (
    Deployment,
    apart_from_skipped,
    artefacts,
    deployment,
    skipped,
    undisturbed,
    wait_for,
    wait_for_chunks,
    wait_until_ended,
)
from tests.worker.runs import job
from worker.history import PLAN
from worker.layout import job_key
from worker.manifest import plan_from_bytes
from worker.storage.local import LocalStore

Note = Callable[[str, object], None]
POISON = "00017.jpg"
NO_MESSAGES = ("", "no JSON", "[]", "{}", '{"headers": 1}', '{"headers": {}, "body": "", "properties": {}}')


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Iterator[Deployment]:
    """One worker that dies of one photo, and gives a chunk two tries."""
    tries = {"FRAMESIFT_MAX_ATTEMPTS": "2"}
    with deployment(tmp_path_factory.mktemp("poison") / "deployment", environment=tries) as found:
        found.inputs.rmdir()
        found.inputs.symlink_to(photos)
        found.worker(fault=f"poison={POISON},no-pdf")
        found.beat()
        yield found


def test_chunk__that_kills_whoever_works_on_it_is_given_up_or_ends_the_job(
    running: Deployment, photos: Path, calm: dict[str, Any], tmp_path: Path, record_property: Note
) -> None:
    client = running.client()
    lenient, strict = running.outputs / "lenient", running.outputs / "strict"
    began = time.monotonic()
    allowed = {"limits": {"max_failed_chunks": 1}}
    without = client.submit(job(running.inputs, lenient, **allowed)).job_id
    failing = client.submit(job(running.inputs, strict)).job_id

    status = wait_until_ended(client, failing)
    record_property("failed after, s", round(time.monotonic() - began, 1))
    plan = plan_from_bytes(LocalStore(strict).get(job_key(failing, PLAN)))
    (poisoned,) = [chunk for chunk in plan.chunks if POISON in {source.key for source in chunk.sources}]
    assert status.state == "failed"
    assert status.reason == (
        f"1 of {len(plan.chunks)} chunks failed, and limits.max_failed_chunks is 0; chunk {poisoned.index}:"
        " tried 2 times: whoever worked on it died without a word"
    )
    told = json.loads((strict / "night" / failing / "done.json").read_text())
    assert (told["state"], told["reason"]) == ("failed", status.reason)

    assert wait_until_ended(client, without).state == "done"
    found = artefacts(LocalStore(lenient), without)
    lost = {source.key for source in poisoned.sources}
    shutil.copytree(photos, tmp_path / "in", ignore=lambda _, names: lost & set(names))
    expected = undisturbed(tmp_path / "in", tmp_path / "out", **allowed)
    assert apart_from_skipped(found) == apart_from_skipped(expected)
    assert skipped(found) == dict.fromkeys(lost, "chunk_failed")

    running.kill("one")
    running.worker("two", fault="slow=0.4,no-pdf")
    kept = {path: path.stat().st_mtime_ns for path in strict.glob(".framesift/chunks/*/*")}
    assert client.retry(failing).state == "submitted"
    assert wait_until_ended(client, failing).state == "done"
    assert artefacts(LocalStore(strict), failing) == calm
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    begun = {step for step in client._records.tries(failing) if step.isdigit()}
    missing = {str(chunk.index) for chunk in plan.chunks if not list(kept_of(kept, chunk.digest))}
    assert begun == missing
    assert str(poisoned.index) in begun


def kept_of(kept: dict[Path, int], digest: str) -> Iterator[Path]:
    return (path for path in kept if path.parent.name == digest)


def test_cancel__under_load_stops_the_job_and_retry_takes_it_up_again(
    running: Deployment, calm: dict[str, Any], record_property: Note
) -> None:
    if "two" not in running.processes:
        running.worker("two", fault="slow=0.4,no-pdf")
    client, output = running.client(), running.outputs / "cancelled"
    job_id = client.submit(job(running.inputs, output)).job_id
    wait_for_chunks(client, job_id, 3)
    time.sleep(0.5)  # now it is in the middle of one
    began = time.monotonic()
    client.cancel(job_id, reason="not today")
    status = wait_until_ended(client, job_id)
    cancelled_s = time.monotonic() - began
    record_property("cancelled after, s", round(cancelled_s, 1))
    assert (status.state, status.reason) == ("cancelled", "not today")
    assert cancelled_s < 8
    told = json.loads((output / "night" / job_id / "done.json").read_text())
    assert (told["state"], told["reason"]) == ("cancelled", "not today")
    kept = {path: path.stat().st_mtime_ns for path in output.glob(".framesift/chunks/*/*")}
    assert kept
    time.sleep(1)
    assert set(output.glob(".framesift/chunks/*/*")) == set(kept), "somebody went on"
    assert client._records.flight(job_id) == {}
    client.retry(job_id)
    assert wait_until_ended(client, job_id).state == "done"
    assert artefacts(LocalStore(output), job_id) == calm
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_worker__drops_messages_that_mean_nothing(running: Deployment, calm: dict[str, Any]) -> None:
    if "two" not in running.processes:
        running.worker("two", fault="slow=0.4,no-pdf")
    client, output = running.client(), running.outputs / "garbage"
    job_id = client.submit(job(running.inputs, output)).job_id
    wait_for_chunks(client, job_id, 1)
    app = make_app(read_settings(QueueSettings, redis_url=running.redis.url))
    for task, args in (
        ("framesift.no_such_step", [job_id]),
        ("os.system", ["true"]),
        ("framesift.chunk", []),
        ("framesift.chunk", [job_id, "0"]),
        ("framesift.chunk", [job_id, -1]),
        ("framesift.chunk", [job_id, 2**80]),
        ("framesift.chunk", [job_id, 2**30]),
        ("framesift.plan", ["../../etc/passwd"]),
        ("framesift.report", [{"job": job_id}]),
        ("framesift.select", [job_id]),
        ("framesift.select", ["20200101T000000Z-000000000000"]),
    ):
        for queue in ("cpu", "gpu"):
            app.send_task(task, args=args, queue=queue)
    redis = running.redis.client()
    app.send_task("framesift.plan", args=[job_id], queue="cuda.low")  # an envelope to put something else into
    envelope = json.loads(redis.lpop("framesift:cuda.low"))
    for body in ("[]", "{}", "7", "null", "[[], {}]", "not JSON"):
        broken = {**envelope, "body": b64encode(body.encode()).decode()}
        redis.lpush("framesift:gpu", json.dumps(broken))
    for text in NO_MESSAGES:
        redis.lpush("framesift:cuda", text)  # which no worker here serves, but the reconciler looks through
    assert wait_until_ended(client, job_id).state == "done"
    assert artefacts(LocalStore(output), job_id) == calm
    wait_for(lambda: not redis.llen("framesift:gpu") and not redis.llen("framesift:cpu"), "the garbage to go")
    assert running.processes["two"].poll() is None
    assert "this turn failed" not in running.said("beat")
    redis.lpush("framesift:gpu", "no JSON")
    assert running.processes["two"].wait(60) != 0, (
        "what Celery cannot survive ends it, so that it is started anew"
    )
    del running.processes["two"]
