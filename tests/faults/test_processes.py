"""Workers that are killed or told to end: the job ends the same, and little is computed twice."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.deployment import (
    Deployment,
    artefacts,
    deployment,
    is_alive,
    resident_bytes,
    tries_beyond_one,
    wait_for,
    wait_for_chunks,
    wait_until_ended,
)
from tests.worker.runs import job
from worker.storage.local import LocalStore

Note = Callable[[str, object], None]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Iterator[Deployment]:
    with deployment(tmp_path_factory.mktemp("processes") / "deployment") as found:
        found.inputs.rmdir()
        found.inputs.symlink_to(photos)
        found.beat()
        yield found


def wait_for_one_more(running: Deployment, job_id: str, *, since: float) -> float:
    """Return the seconds from `since` until another chunk is done."""
    chunks = running.client().status(job_id).chunks
    assert chunks is not None
    wait_for_chunks(running.client(), job_id, chunks.done + 1)
    return time.monotonic() - since


def test_kill_9__of_a_pool_process_and_of_a_worker_cost_the_chunks_that_they_worked_on(
    running: Deployment, calm: dict[str, Any], record_property: Note
) -> None:
    client, output = running.client(), running.outputs / "killed"
    running.worker(fault="slow=0.2")
    job_id = client.submit(job(running.inputs, output)).job_id
    wait_for_chunks(client, job_id, 2)
    os.kill(child := running.child(), signal.SIGKILL)
    after_child_s = wait_for_one_more(running, job_id, since=time.monotonic())
    assert not is_alive(child)

    beat = running.processes["beat"].pid
    of_the_worker = running.gather() - {beat}
    assert len(of_the_worker) >= 3, "a worker, its pool process, a decoder"
    assert "Traceback" not in running.said("one")
    assert "signal 9" in running.said("one")
    running.kill("one")
    killed_at = time.monotonic()
    running.worker("two", fault="slow=0.2,no-pdf")
    wait_for(lambda: not any(map(is_alive, of_the_worker)), "orphans to end")
    orphans_s = time.monotonic() - killed_at
    after_worker_s = wait_for_one_more(running, job_id, since=killed_at)

    assert wait_until_ended(client, job_id).state == "done"
    assert artefacts(LocalStore(output), job_id) == calm
    begun_again = tries_beyond_one(client, job_id)
    for name, figure in {
        "next chunk after kill -9 of the pool process, s": after_child_s,
        "next chunk after kill -9 of the worker, s": after_worker_s,
        "last orphan gone after, s": orphans_s,
        "steps begun again": begun_again,
    }.items():
        record_property(name, round(figure, 1))
    assert begun_again <= 2
    assert after_child_s < 40
    assert after_worker_s < 40
    assert "Traceback" not in running.said("two")


def test_sigterm__under_load_hands_the_step_back_and_of_an_idle_worker_just_ends_it(
    running: Deployment, calm: dict[str, Any], record_property: Note
) -> None:
    client, output = running.client(), running.outputs / "ended"
    if "two" not in running.processes:
        running.worker("two", fault="slow=0.2,no-pdf")
    running.worker("leaving", fault="slow=2", soft_shutdown_s=1, queues="gpu")
    idle = running.worker("idle", queues="cpu")
    taken = partial(running.redis.client().hlen, "framesift:unacked")
    of_the_dead = taken()
    job_id = client.submit(job(running.inputs, output)).job_id
    wait_for(lambda: taken() == of_the_dead + 2, "both workers to have a step")
    began = time.monotonic()
    code = running.stop("leaving")
    stopped_s = time.monotonic() - began
    wait_for(lambda: taken() <= of_the_dead + 1, "the message of the worker that left to be back")
    assert wait_until_ended(client, job_id).state == "done"
    assert artefacts(LocalStore(output), job_id) == calm
    begun_again = tries_beyond_one(client, job_id)
    record_property("SIGTERM under load: exit after, s", round(stopped_s, 1))
    record_property("SIGTERM under load: exit code", code)
    record_property("steps begun again", begun_again)
    assert stopped_s < 1 + 10
    assert code == 0
    assert begun_again <= 1
    assert "Traceback" not in running.said("leaving")
    parent_bytes = resident_bytes(idle.pid)
    record_property("memory of the process that hands out steps, MB", parent_bytes // 10**6)
    assert parent_bytes < 120e6, "it has imported what only its pool needs"
    assert running.stop("idle") == 0
    assert running.stop("two") == 0
    assert running.stop("beat") == 0
