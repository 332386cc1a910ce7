"""Which workers are alive: each says so every few seconds, by the clock of Redis."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jobs.queue import asking_redis

if TYPE_CHECKING:
    from jobs.records import Records

ALIVE_S = 30.0
FORGOTTEN_S = 86_400.0


class Worker(BaseModel):
    """One worker: a process that has taken on some queues."""

    model_config = ConfigDict(frozen=True)

    name: str
    host: str
    queues: tuple[str, ...]
    device: str
    cuda: bool
    processes: int = Field(ge=1, description="steps that it can work on at once, one a GPU")
    version: str


def tell_alive(records: "Records", worker: Worker) -> None:
    """Say that a worker is alive, and forget those that have been silent for a day."""
    now = records.now()
    with asking_redis():
        pipe = records.redis.pipeline()
        pipe.hset(records.key("workers", "about"), worker.name, worker.model_dump_json())
        pipe.zadd(records.key("workers"), {worker.name: now})
        pipe.zrangebyscore(records.key("workers"), "-inf", now - FORGOTTEN_S)
        silent = cast("list[str]", pipe.execute()[-1])
        if silent:
            records.redis.zrem(records.key("workers"), *silent)
            records.redis.hdel(records.key("workers", "about"), *silent)


def tell_gone(records: "Records", name: str) -> None:
    """Forget a worker that ends."""
    with asking_redis():
        records.redis.zrem(records.key("workers"), name)
        records.redis.hdel(records.key("workers", "about"), name)


def tell_gpu_memory(records: "Records", process: str, *, used: int, total: int) -> None:
    """Say how much of its GPU's memory is used, in bytes, by whatever runs there."""
    with asking_redis():
        records.redis.hset(records.key("gpus"), process, f"{used} {total} {records.now()}")


def gpu_memory_told(records: "Records") -> dict[str, tuple[int, int]]:
    """Return used and total bytes of the GPU of each worker process that said so within the last hour."""
    now = records.now()
    with asking_redis():
        found = cast("dict[str, str]", records.redis.hgetall(records.key("gpus")))
    told: dict[str, tuple[int, int]] = {}
    for process, text in found.items():
        with suppress(ValueError):  # whoever can write to Redis can write anything
            used, total, at = text.split()
            if now - float(at) < 3600:
                told[process] = (int(used), int(total))
    return told


def living_workers(records: "Records") -> list[Worker]:
    """Return the workers that were heard of within the last 30 seconds."""
    with asking_redis():
        since = records.now() - ALIVE_S
        names = cast("list[str]", records.redis.zrangebyscore(records.key("workers"), since, "+inf"))
        found = (
            cast("list[str | None]", records.redis.hmget(records.key("workers", "about"), names))
            if names
            else []
        )
    workers = []
    for text in found:
        with suppress(ValidationError):
            workers.append(Worker.model_validate_json(text or ""))
    return workers


def serving(workers: Iterable[Worker], queue: str) -> Sequence[Worker]:
    """Return the workers that take from a queue."""
    return [one for one in workers if queue in one.queues]
