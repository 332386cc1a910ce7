"""A queue that nobody works on, over a real Redis."""

from collections.abc import Iterator

import pytest

from jobs.client import Client
from jobs.queue import connect
from jobs.records import Records
from jobs.settings import QueueSettings, read_settings
from tests.redis_server import RedisServer, redis_server


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def settings(redis: RedisServer) -> QueueSettings:
    """Settings of an empty queue."""
    redis.client().flushall()
    return read_settings(QueueSettings, redis_url=redis.url)


@pytest.fixture
def client(settings: QueueSettings) -> Client:
    return Client(settings)


@pytest.fixture
def records(settings: QueueSettings) -> Records:
    return Records(connect(settings), settings.redis_prefix)
