"""The same thing twice at once: steps, messages, submissions; and clocks that disagree about now."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import JobRejected
from jobs.queue import make_app
from jobs.settings import QueueSettings, read_settings
from tests.deployment import REPOSITORY, Deployment, artefacts, deployment, wait_for, wait_until_ended
from tests.worker.runs import job
from worker.queued.post import Post
from worker.storage.local import LocalStore

SUBMIT = """
import sys, time
from jobs.client import Client
client = Client.to(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(client.submit(sys.argv[2], idempotency_key="once").job_id)
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Iterator[Deployment]:
    one_at_a_time = {"FRAMESIFT_WINDOW": "1"}  # so that both workers get the same chunk
    with deployment(tmp_path_factory.mktemp("doubles") / "deployment", environment=one_at_a_time) as found:
        found.inputs.rmdir()
        found.inputs.symlink_to(photos)
        yield found


def test_submit__of_one_key_by_threads_and_processes_at_once_is_one_job(running: Deployment) -> None:
    document = job(running.inputs, running.outputs / "once")
    command = [sys.executable, "-c", SUBMIT, running.redis.url, json.dumps(document)]
    processes = [
        subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    client = running.client()
    with ThreadPoolExecutor(8) as threads:
        given = [threads.submit(client.submit, document, idempotency_key="once") for _ in range(8)]
        told = [process.communicate("\n", timeout=60)[0].strip() for process in processes]
    ids = {one.result().job_id for one in given} | set(told)
    assert len(ids) == 1
    assert [one.job_id for one in client.list()] == list(ids)
    with pytest.raises(JobRejected, match=r"stands for .*, which is another job; choose another key"):
        client.submit({**document, "seed": 1}, idempotency_key="once")
    client.cancel(ids.pop())


def test_job__every_step_of_which_is_done_twice_on_machines_with_other_clocks(
    running: Deployment, calm: dict[str, Any]
) -> None:
    client, output = running.client(), running.outputs / "twice"
    running.worker("early", fault="no-lease,no-pdf,slow=0.3,skew=300")
    running.worker("late", fault="no-lease,no-pdf,slow=0.3,skew=-300")
    running.beat()
    job_id = client.submit(job(running.inputs, output)).job_id
    settings = read_settings(QueueSettings, redis_url=running.redis.url)
    post, sent = Post(make_app(settings), client._records, window=16), set()

    def ended_with_every_step_sent_again() -> bool:
        record = client._records.load(job_id)
        for step in set(client._records.flight(job_id)) - sent:
            post.send(record, step)
            sent.add(step)
        return record.ended

    wait_for(ended_with_every_step_sent_again, "the job to end")
    assert wait_until_ended(client, job_id).state == "done"
    wait_for(lambda: not post.waiting() and idle(running), "the doubles to end")
    assert len(sent) >= 3 + 12
    assert sum(client._records.tries(job_id).values()) > len(sent) + 4, "few steps were done twice"
    assert artefacts(LocalStore(output), job_id) == calm
    assert client.status(job_id).state == "done"
    for name in ("early", "late"):
        assert "Traceback" not in running.said(name), running.said(name)


def idle(running: Deployment) -> bool:
    """Tell whether no worker holds a message."""
    time.sleep(0.1)
    return not running.redis.client().hlen("framesift:unacked")
