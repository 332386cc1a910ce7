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
    Client(settings).add_schedule(nightly)
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
