"""The client's verbs, with a real Redis and nobody who works."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from jobs import Client
from jobs.errors import DamagedRecord, JobRejected, NoSuchJob, QueueDown, QueueError
from jobs.queue import KINDS, served
from jobs.records import Records
from jobs.workers import Worker, tell_alive
from tests.redis_server import RedisServer
from tests.worker.runs import job

JOB = job("s3://recordings/", "s3://curation/")


def messages(redis: RedisServer) -> dict[str, int]:
    """Return how many messages wait in each queue that has any."""
    lengths = {name: redis.client().llen(f"framesift:{name}") for name in served(KINDS)}
    return {name: length for name, length in lengths.items() if length}


def test_submit__sends_one_small_message_of_a_known_job(client: Client, redis: RedisServer) -> None:
    status = client.submit(JOB)
    assert (status.state, status.stage, status.name) == ("submitted", "plan", "night")
    assert messages(redis) == {"cpu": 1}
    (message,) = redis.client().lrange("framesift:cpu", 0, -1)
    assert len(message) < 2000
    assert "recordings" not in message


@pytest.mark.parametrize(
    ("priority", "device", "queue"),
    [("high", "any", "cpu.high"), ("low", "cuda", "cpu.low"), ("normal", "any", "cpu")],
)
def test_submit__the_priority_chooses_the_queue(
    client: Client, redis: RedisServer, priority: Any, device: str, queue: str
) -> None:
    status = client.submit({**JOB, "device": device}, priority=priority)
    assert messages(redis) == {queue: 1}
    assert (status.priority, status.device) == (priority, device)


def test_submit__one_key_is_one_job_however_many_ask(client: Client, redis: RedisServer) -> None:
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(client.submit, JOB, idempotency_key="night") for _ in range(32)]
        assert len({one.result().job_id for one in asked}) == 1
    assert messages(redis) == {"cpu": 1}


def test_submit__without_a_key_each_is_a_job_of_its_own(client: Client) -> None:
    assert len({client.submit(JOB).job_id for _ in range(5)}) == 5


def test_submit__a_key_of_another_job_is_refused(client: Client) -> None:
    first = client.submit(JOB, idempotency_key="night").job_id
    with pytest.raises(
        JobRejected, match=f"idempotency key 'night': stands for {first}, which is another job"
    ):
        client.submit({**JOB, "seed": 1}, idempotency_key="night")


@pytest.mark.parametrize(
    ("given", "key", "says"),
    [
        ({**JOB, "sede": 1}, None, "unknown key 'sede'"),
        (
            {"kind": "comparison", "name": "a", "datasource": {"output": "s3://out/"}, "spaces": ["a", "b"]},
            None,
            "kind:",
        ),
        (JOB, "", "idempotency key: should be 1 to 200"),
        (JOB, "a\nb", "idempotency key: should be 1 to 200"),
        (JOB, 7, "idempotency key: should be 1 to 200"),
        ("{" + " " * 2**20 + "}", None, "job: "),
    ],
)
def test_submit__refuses_before_anything_is_sent(
    client: Client, redis: RedisServer, given: Any, key: str | None, says: str
) -> None:
    with pytest.raises(JobRejected, match=says):
        client.submit(given, idempotency_key=key)
    assert messages(redis) == {}
    assert client.list() == []


def test_status__says_what_a_job_waits_for(client: Client, records: Records) -> None:
    plain, needs_gpu = client.submit(JOB), client.submit({**JOB, "device": "cuda"})
    assert plain.waits_for == "a worker of the queue cpu; none is alive"
    about = Worker(
        name="w", host="h", queues=("cpu", "gpu"), device="CPU", cuda=False, processes=1, version="0"
    )
    tell_alive(records, about)
    assert client.status(plain.job_id).waits_for is None
    records.to_stage(needs_gpu.job_id, "plan", "embed")
    assert client.status(needs_gpu.job_id).waits_for == "a worker with a GPU; 1 without one are alive"
    tell_alive(records, about.model_copy(update={"name": "g", "queues": ("gpu", "cuda"), "cuda": True}))
    assert client.status(needs_gpu.job_id).waits_for is None


def test_status__reckons_rate_time_left_and_the_slowest_worker(client: Client, records: Records) -> None:
    job_id = client.submit(JOB).job_id
    records.planned(job_id, done=[0], chunks=5, images=40, to_read=32, planned_at=records.now() - 10)
    records.to_stage(job_id, "plan", "embed", ended="plan")
    assert records.refill(job_id, window=2) == (False, [1, 2])
    for index, worker, seconds in ((1, "fast:1", 1.0), (2, "slow:1", 4.0)):
        assert records.chunk_done(job_id, index, read=8, worker=worker, device="CPU", seconds=seconds)
    status = client.status(job_id)
    assert status.chunks is not None
    assert (status.chunks.done, status.chunks.total, status.chunks.in_flight) == (3, 5, 0)
    assert (status.images_read, status.images_to_read) == (16, 32)
    assert status.images_per_s == pytest.approx(1.6, rel=0.05)
    assert status.eta_s == pytest.approx(10, rel=0.05)
    assert status.slowest is not None
    assert (status.slowest.worker, status.slowest.images_per_s) == ("slow:1", 2.0)


def test_chunk_done__counts_once_however_often_it_is_said(client: Client, records: Records) -> None:
    job_id = client.submit(JOB).job_id
    records.planned(job_id, done=[], chunks=2, to_read=16, planned_at=records.now())
    records.to_stage(job_id, "plan", "embed", ended="plan")
    records.refill(job_id, window=9)
    said = [records.chunk_done(job_id, 0, read=8, worker="w", device="CPU", seconds=1.0) for _ in range(3)]
    assert said == [True, False, False]
    assert records.load(job_id).read == 8
    assert records.done_count(job_id) == 1


def test_refill__keeps_to_the_window_and_passes_over_what_is_done(client: Client, records: Records) -> None:
    job_id = client.submit(JOB).job_id
    records.planned(job_id, done=[1, 2, 9], chunks=10, planned_at=records.now())
    records.to_stage(job_id, "plan", "embed", ended="plan")
    assert records.refill(job_id, window=3) == (False, [0, 3, 4])
    assert records.refill(job_id, window=3) == (False, [])
    records.chunk_done(job_id, 3, read=8, worker="w", device="CPU", seconds=1.0)
    records.chunk_failed(job_id, 0)
    assert records.refill(job_id, window=3) == (False, [5, 6])
    for index in (4, 5, 6):
        records.chunk_done(job_id, index, read=8, worker="w", device="CPU", seconds=1.0)
    assert records.refill(job_id, window=3) == (False, [7, 8])
    for index in (7, 8):
        records.chunk_done(job_id, index, read=8, worker="w", device="CPU", seconds=1.0)
    assert records.refill(job_id, window=3) == (True, [])
    assert [records.to_stage(job_id, "embed", "select", step="select") for _ in range(2)] == [True, False]


def test_cancel__asks_once_and_leaves_an_ended_job_alone(client: Client, records: Records) -> None:
    job_id = client.submit(JOB).job_id
    status = client.cancel(job_id, reason="a mistake")
    assert (status.cancelling, status.reason) == (True, "a mistake")
    records.end(job_id, state="done", keep_days=1.0, reason="")
    status = client.cancel(job_id)
    assert (status.state, status.cancelling, status.reason) == ("done", False, None)


def test_retry__takes_up_what_failed_and_nothing_else(client: Client, records: Records) -> None:
    job_id = client.submit(JOB, idempotency_key="night").job_id
    with pytest.raises(QueueError, match="is submitted; only a failed or cancelled job"):
        client.retry(job_id)
    records.begin(job_id, "plan")
    records.end(job_id, state="failed", keep_days=1.0, reason="no such bucket")
    assert client.status(job_id).reason == "no such bucket"
    status = client.retry(job_id)
    assert (status.state, status.reason, status.ended_at) == ("submitted", None, None)
    assert records.tries(job_id) == {}
    assert records.active() == [job_id]
    assert client.submit(JOB, idempotency_key="night").job_id == job_id


def test_list__latest_first_and_by_state(client: Client, records: Records) -> None:
    ids = [client.submit({**JOB, "seed": seed}).job_id for seed in range(5)]
    records.end(ids[1], state="failed", keep_days=1.0, reason="x")
    assert [one.job_id for one in client.list(limit=3)] == ids[::-1][:3]
    assert [one.job_id for one in client.list(state="failed")] == [ids[1]]


def test_logs__from_a_line_on(client: Client, records: Records) -> None:
    job_id = client.submit(JOB).job_id
    records.log(job_id, [json.dumps({"event": str(number)}) for number in range(3)])
    assert [one["event"] for one in client.logs(job_id)] == ["0", "1", "2"]
    assert [one["event"] for one in client.logs(job_id, start=2)] == ["2"]


@pytest.mark.parametrize("job_id", ["nope", "20261122T041500Z-1a2b3c4d5e6f", "../x", "framesift:jobs"])
def test_a_job_that_is_not_there(client: Client, job_id: str) -> None:
    for verb in (client.status, client.cancel, client.retry, client.logs):
        with pytest.raises(NoSuchJob):
            verb(job_id)


def test_a_queue_that_is_not_there() -> None:
    with pytest.raises(QueueDown, match="Redis does not answer"):
        Client.to("redis://127.0.0.1:1/0").submit(JOB)


def test_schedules__are_added_replaced_listed_and_removed(client: Client) -> None:
    for cron in ("0 2 * * *", "0 3 * * *"):
        client.add_schedule("nightly", cron=cron, job=JOB)
    (told,) = client.schedules.all()
    assert (told.schedule.cron, told.last_job) == ("0 3 * * *", None)
    assert client.run_now("nightly").schedule == "nightly"
    with pytest.raises(QueueError, match=r"no schedule 'nightli'.*did you mean 'nightly'"):
        client.run_now("nightli")
    client.schedules.remove("nightly")
    assert client.schedules.all() == []
    assert [one.cron for one in client.schedules.removed()] == ["0 3 * * *"]
    client.add_schedule("other", cron="0 3 * * *", job=JOB)
    assert [told.schedule.name for told in client.schedules.all()] == ["other"]


def test_schedules__one_that_moves_leaves_its_former_place(client: Client) -> None:
    client.add_schedule("nightly", cron="0 2 * * *", job=JOB)
    client.add_schedule("nightly", cron="0 2 * * *", job=job("s3://recordings/", "s3://elsewhere/"))
    (former,) = client.schedules.removed()
    assert "curation" in former.job


def test_what_somebody_wrote_into_redis__is_named_and_costs_itself_alone(
    client: Client, records: Records
) -> None:
    good, bad = client.submit(JOB).job_id, client.submit({**JOB, "seed": 1}).job_id
    redis = records.redis
    for field, value in [
        ("chunks", "abc"),
        ("state", "banana"),
        ("submitted_at", "nan"),
        ("ended_at", "1e300"),
    ]:
        before = redis.hget(f"framesift:job:{bad}", field)
        redis.hset(f"framesift:job:{bad}", field, value)
        with pytest.raises(DamagedRecord, match=f"the record of {bad} is damaged"):
            client.status(bad)
        assert [one.job_id for one in client.list()] == [good]
        redis.hset(f"framesift:job:{bad}", field, before or "0")
    redis.hset("framesift:schedules", "broken", "{")
    client.add_schedule("nightly", cron="0 2 * * *", job=JOB)
    assert [told.schedule.name for told in client.schedules.all()] == ["nightly"]
    client.schedules.remove("broken")
    redis.hset("framesift:schedules:facts", mapping={"nightly|due": "1e300", "nightly|done": "abc"})
    assert client.schedules.all()[0].last_due is None
    redis.rpush(f"framesift:job:{good}:log", "not JSON")
    assert client.logs(good) == [{"event": "unreadable", "line": "not JSON"}]
    redis.delete(f"framesift:job:{good}:tries")
    redis.set(f"framesift:job:{good}:tries", "of another type")
    with pytest.raises(QueueError, match="Redis holds what it should not"):
        records.tries(good)


def test_submit__a_priority_that_is_none_is_refused_before_anything_is_kept(client: Client) -> None:
    with pytest.raises(JobRejected, match="priority: should be one of high, normal, low"):
        client.submit(JOB, priority="urgent")  # type: ignore[arg-type]
    assert client.list() == []
