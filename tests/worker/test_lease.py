"""Leases over a real Redis."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobs.queue import connect
from jobs.settings import QueueSettings, read_settings
from tests.deployment import wait_for
from tests.redis_server import RedisServer, redis_server
from worker.lease import Lease, Stopped, held

if TYPE_CHECKING:
    from redis import Redis

TTL_S = 0.6


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as found:
        yield found


@pytest.fixture
def redis(server: RedisServer) -> "Redis":
    server.client().flushall()
    return connect(read_settings(QueueSettings, redis_url=server.url))


def lease(redis: "Redis", **more: object) -> Lease:
    return Lease(redis, "lease:x", TTL_S, **more)  # type: ignore[arg-type]


def stopped(one: Lease) -> str | None:
    try:
        one.check()
    except Stopped as stop:
        return stop.cause
    return None


def test_lease__has_one_holder_at_a_time(redis: "Redis") -> None:
    first, second = lease(redis), lease(redis)
    assert first.take()
    assert not second.take()
    with first:
        time.sleep(2 * TTL_S)
        assert not second.take(), "it was not renewed"
        assert held(redis, ["lease:x", "lease:y"]) == [True, False]
    assert second.take(), "it was not given back"


def test_lease__many_ask_and_one_gets_it(redis: "Redis") -> None:
    results: list[bool] = []
    start = threading.Barrier(16)

    def ask() -> None:
        start.wait()
        results.append(lease(redis).take())

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(results) == 1


def test_lease__of_a_silent_holder_is_free_again(redis: "Redis") -> None:
    assert lease(redis).take()
    began = time.monotonic()
    wait_for(lambda: lease(redis).take(), "the lease", patience_s=5)
    assert time.monotonic() - began > TTL_S / 2


def test_lease__that_another_has_taken_is_lost_and_stays_theirs(redis: "Redis") -> None:
    mine = lease(redis)
    assert mine.take()
    with mine:
        redis.set("lease:x", "another")
        assert wait_for(lambda: stopped(mine), "the loss", patience_s=5) == "lost"
    assert redis.get("lease:x") == "another"


def test_lease__that_redis_has_forgotten_is_taken_anew(redis: "Redis") -> None:
    mine = lease(redis)
    assert mine.take()
    with mine:
        redis.flushall()
        wait_for(lambda: redis.get("lease:x") == mine.token, "the lease", patience_s=5)
        assert stopped(mine) is None


def test_lease__outlives_a_pause_of_redis(redis: "Redis", server: RedisServer) -> None:
    mine = lease(redis)
    assert mine.take()
    with mine:
        server.pause()
        time.sleep(2 * TTL_S)
        server.go_on()
        wait_for(lambda: redis.get("lease:x") == mine.token, "the lease", patience_s=10)
        assert stopped(mine) is None


def test_lease__stops_what_was_cancelled(redis: "Redis") -> None:
    flag = threading.Event()
    mine = lease(redis, is_cancelled=flag.is_set)
    assert mine.take()
    with mine:
        assert stopped(mine) is None
        flag.set()
        assert wait_for(lambda: stopped(mine), "the stop", patience_s=5) == "cancelled"


def test_lease__ends_with_the_process_that_started_this_one(
    redis: "Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = lease(redis)
    assert mine.take()
    with mine:
        monkeypatch.setattr("os.getppid", lambda: 1)
        assert wait_for(lambda: stopped(mine), "the stop", patience_s=5) == "orphaned"


def test_two_clocks__do_not_matter(redis: "Redis", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del tmp_path
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 300)
    mine = lease(redis)
    assert mine.take()
    monkeypatch.setattr(time, "time", lambda: real() - 300)
    assert not lease(redis).take()
