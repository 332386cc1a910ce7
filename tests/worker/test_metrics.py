"""The exporter over a real Redis, scraped over HTTP."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from jobs.client import Client
from jobs.queue import connect
from jobs.records import Records
from jobs.schedule import Schedules
from jobs.settings import QueueSettings, read_settings
from jobs.workers import Worker, tell_alive, tell_gpu_memory
from tests.redis_server import RedisServer, redis_server
from tests.servers import free_port
from tests.worker.runs import job
from worker.lease import Lease
from worker.queued.totals import skipped_totals, step_totals

Samples = dict[tuple[str, str], float]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def exporter(redis: RedisServer) -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "worker.cli", "metrics", "--listen", f"127.0.0.1:{port}"],
        env=os.environ | {"FRAMESIFT_REDIS_URL": redis.url},
    )
    yield f"http://127.0.0.1:{port}/metrics"
    process.terminate()
    assert process.wait(20) == 0


def scrape(url: str) -> Samples:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                text = answer.read().decode()
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    return {
        (
            sample.name,
            ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items())),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics__tell_what_waits_runs_and_was_done(
    redis: RedisServer, exporter: str, tmp_path: Path
) -> None:
    settings = read_settings(QueueSettings, redis_url=redis.url)
    records = Records(connect(settings), settings.redis_prefix)
    client = Client(settings)
    waiting = client.submit(job("s3://abc/in/", "s3://abc-out/", device="cuda"), priority="high")
    running = client.submit(job("s3://abc/in/", "s3://abc-out/", seed=1))
    records.planned(running.job_id, done=[], chunks=3, planned_at=records.now())
    assert records.to_stage(running.job_id, "plan", "embed", ended="plan")
    assert records.refill(running.job_id, window=2) == (False, [0, 1])
    lease = Lease(records.redis, records.lease_key(running.job_id, "1"), 60)
    assert lease.take()
    about = Worker(
        name="w", host="h", queues=("gpu", "gpu.high"), device="CPU", cuda=False, processes=1, version="0"
    )
    tell_alive(records, about)
    tell_gpu_memory(records, "w:1", used=10, total=40)
    records.count(step_totals("chunk", 3.0) | skipped_totals({"truncated": 2}))
    records.add_usage(running.job_id, "embed", {"bytes_read": 1000.0, "requests.GET": 1})
    Schedules(records).note("gone", due="1")  # facts of a schedule that is not there are not told
    found = scrape(exporter)
    assert found["framesift_redis_up", ""] == 1
    assert found["framesift_queue_messages", "queue=cpu.high"] == 1
    assert found["framesift_queue_messages", "queue=cpu"] == 1
    assert found["framesift_queue_running", "queue=gpu"] == 1
    assert found["framesift_queue_work", "queue=gpu"] == 1
    assert found["framesift_jobs", "state=submitted"] == 1
    assert found["framesift_jobs", "state=running"] == 1
    assert found["framesift_workers", "queue=gpu"] == 1
    assert found["framesift_workers", "queue=cuda.high"] == 0
    assert found["framesift_gpu_memory_bytes", "kind=used,worker=w:1"] == 10
    assert found["framesift_sources_skipped_total", "reason=truncated"] == 2
    assert found["framesift_bytes_read_total", ""] == 1000
    assert found["framesift_step_seconds_bucket", "le=2.5,step=chunk"] == 0
    assert found["framesift_step_seconds_bucket", "le=5,step=chunk"] == 1
    assert found["framesift_step_seconds_sum", "step=chunk"] == 3
    assert ("framesift_schedule_last_due_timestamp_seconds", "schedule=gone") not in found
    assert waiting.waits_for == "a worker of the queue cpu.high; none is alive"


def test_metrics__say_that_redis_is_down(redis: RedisServer, exporter: str) -> None:
    assert scrape(exporter)["framesift_redis_up", ""] == 1
    redis.kill()
    try:
        assert scrape(exporter) == {("framesift_redis_up", ""): 0}
    finally:
        redis.start()
    assert scrape(exporter)["framesift_redis_up", ""] == 1
