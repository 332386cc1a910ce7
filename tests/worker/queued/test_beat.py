"""Schedules: one job a tick, however many beats there are."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobs.client import Client
from jobs.queue import connect
from jobs.records import Records
from jobs.schedule import Schedules, make_schedule
from tests.redis_server import RedisServer, redis_server
from tests.worker.runs import job
from worker.queued.beat import Beat
from worker.queued.stored import Submission
from worker.settings import Settings, load_settings

MADE = datetime(2026, 5, 1, 12, tzinfo=UTC)
TICK = datetime(2026, 5, 2, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as found:
        yield found


@pytest.fixture
def settings(server: RedisServer, tmp_path: Path) -> Settings:
    """Settings of an empty queue, with a schedule at two every night."""
    server.client().flushall()
    settings = load_settings(
        redis_url=server.url, outputs=[str(tmp_path / "out")], inputs=[str(tmp_path / "in")]
    )
    nightly = make_schedule(
        "nightly",
        cron="0 2 * * *",
        timezone="UTC",
        job=job(tmp_path / "in", tmp_path / "out"),
        now=MADE,
        priority="low",
    )
    Client(settings).schedules.add(nightly)
    return settings


def records_of(settings: Settings) -> Records:
    return Records(connect(settings), settings.redis_prefix)


def test_beat__submits_one_job_a_tick_however_many_beats_turn(settings: Settings) -> None:
    beats = [Beat(settings) for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        for second in range(4):
            now = TICK + timedelta(seconds=20 * second)
            list(threads.map(lambda beat, at=now: beat.turn(at), beats))
    (status,) = Client(settings).list()
    assert (status.schedule, status.priority) == ("nightly", "low")
    assert status.idempotency_key == "schedule:nightly:2026-05-02T02:00Z"


def test_beat__a_beat_that_does_not_know_what_another_did_submits_nothing_twice(settings: Settings) -> None:
    beat, told = Beat(settings), Schedules(records_of(settings)).all()[0]
    beat.tick(told, TICK)
    beat.tick(told, TICK)  # with the facts from before the first
    assert len(Client(settings).list()) == 1


def test_beat__not_before_its_time(settings: Settings) -> None:
    Beat(settings).turn(TICK - timedelta(seconds=1))
    assert Client(settings).list() == []


def test_beat__leaves_a_tick_out_while_the_last_job_goes_on(settings: Settings) -> None:
    client, beat = Client(settings), Beat(settings)
    beat.turn(TICK)
    (first,) = client.list()
    beat.turn(TICK + timedelta(days=1))
    assert [one.job_id for one in client.list()] == [first.job_id]
    (told,) = client.schedules.all()
    assert told.skipped == f"2026-05-03 02:00 UTC: {first.job_id} has not ended"
    records_of(settings).end(first.job_id, state="done", keep_days=1.0, reason="")
    beat.turn(TICK + timedelta(days=2))
    assert len(client.list()) == 2
    assert client.schedules.all()[0].skipped is None


def test_beat__keeps_a_copy_in_the_output_and_takes_it_back(settings: Settings, server: RedisServer) -> None:
    beat, client = Beat(settings), Client(settings)
    copy = settings.outputs[0].path / ".framesift" / "schedules" / "nightly.json"
    beat.turn(MADE)
    assert copy.is_file()
    before = client.schedules.get("nightly")
    server.client().flushall()
    assert client.schedules.all() == []
    beat.turn(MADE)
    assert client.schedules.get("nightly") == before
    client.schedules.remove("nightly")
    beat.turn(MADE)
    assert not copy.exists()
    server.client().flushall()
    beat.turn(MADE)
    assert client.schedules.all() == []


def test_beat__writes_nothing_for_a_schedule_outside_its_outputs(settings: Settings, tmp_path: Path) -> None:
    client, beat = Client(settings), Beat(settings)
    client.add_schedule("evil", cron="0 2 * * *", job=job(tmp_path / "in", tmp_path / "evil"))
    client.add_schedule("zzz", cron="0 2 * * *", job=job(tmp_path / "in", tmp_path / "out" / "below"))
    beat.turn(MADE)
    assert not (tmp_path / "evil").exists()
    assert (tmp_path / "out" / "below" / ".framesift" / "schedules" / "zzz.json").is_file()
    (tmp_path / "evil" / ".framesift" / "schedules").mkdir(parents=True)
    (tmp_path / "evil" / ".framesift" / "schedules" / "evil.json").write_text("somebody else's")
    client.schedules.remove("evil")
    beat.turn(MADE)
    assert (tmp_path / "evil" / ".framesift" / "schedules" / "evil.json").is_file()
    assert client.schedules.removed() == []


def test_beat__takes_back_schedules_of_their_own_output_only(
    settings: Settings, server: RedisServer, tmp_path: Path
) -> None:
    client, beat = Client(settings), Beat(settings)
    client.add_schedule("below", cron="0 2 * * *", job=job(tmp_path / "in", tmp_path / "out" / "below"))
    beat.turn(MADE)
    copies = tmp_path / "out" / ".framesift" / "schedules"
    planted = make_schedule(
        "planted", cron="* * * * *", timezone="UTC", job=job(tmp_path / "in", tmp_path / "x")
    )
    (copies / "planted.json").write_text(planted.model_dump_json())
    (copies / "garbage.json").write_text("[]")
    (tmp_path / "out" / ".framesift" / "outputs" / "0.json").write_text("null")
    server.client().flushall()
    beat.turn(MADE)
    assert [told.schedule.name for told in client.schedules.all()] == ["below", "nightly"]


@pytest.mark.parametrize("body", ["[]", "null", "7", "{", '{"format_version": "1"}', '{"format_version": 2}'])
def test_beat__garbage_in_the_bucket_costs_itself_alone(
    settings: Settings, server: RedisServer, tmp_path: Path, body: str
) -> None:
    client, beat = Client(settings), Beat(settings)
    good = client.submit(job(tmp_path / "in", tmp_path / "out"))
    jobs = tmp_path / "out" / ".framesift" / "jobs"
    submission = Submission(idempotency_key="", priority="normal", schedule="", submitted_at=1.0)
    for job_id in (good.job_id, f"{good.job_id[:16]}-bbbbbbbbbbbb", "20269999T999999Z-cccccccccccc"):
        (jobs / job_id).mkdir(parents=True)
        (jobs / job_id / "job.json").write_text(records_of(settings).load(good.job_id).job)
        is_good = job_id == good.job_id
        (jobs / job_id / "submission.json").write_text(submission.model_dump_json() if is_good else body)
    server.client().flushall()
    beat.turn(MADE)
    assert [one.job_id for one in client.list()] == [good.job_id]


def test_beat__a_damaged_record_keeps_no_other_job_waiting(settings: Settings, server: RedisServer) -> None:
    client, records = Client(settings), records_of(settings)
    document = records.redis  # one connection is enough
    good, bad = (client.submit(client.schedules.get("nightly").job).job_id for _ in range(2))
    document.hset(f"framesift:job:{bad}", "chunks", "abc")
    document.zadd(f"framesift:job:{good}:flight", {"banana": 1.0, " ": 1.0})
    document.delete("framesift:cpu.low", "framesift:cpu")
    records.sent(good, "plan", at=0.0)
    Beat(settings).turn(MADE)
    assert server.client().llen("framesift:cpu") == 1, "the lost step was not sent again"
