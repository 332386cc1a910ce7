"""What the queue remembers of its jobs, in Redis. A cache: all of it can be made anew from the bucket.

Under the deployment's prefix:
    job:<id>            hash: the job, where it stands, and when it got there
    job:<id>:flight     sorted set: steps that were sent and have not ended, by the time they were sent
    job:<id>:tries      hash: how often each step was begun; job:<id>:errors: the last error of each
    job:<id>:done       bitmap: chunks that are done; job:<id>:failed: set of those that were given up
    job:<id>:workers    hash: chunks, images and seconds of each worker; job:<id>:devices: set of what they computed on
    job:<id>:usage      hash: requests, bytes and seconds by stage
    job:<id>:log        list: events, as in log.jsonl
    lease:<id>:<step>   who works on a step now
    jobs, active        sorted set of all jobs by the time of submission; set of those that have not ended
    key:<key>           the job that an idempotency key stands for
    schedules, workers, totals, epoch

A step is `plan`, `select`, `report` or the number of a chunk. Times are seconds by the clock of Redis, so that the
clocks of workers do not matter.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, cast

from pydantic import TypeAdapter, ValidationError

from jobs.errors import DamagedRecord, NoSuchJob
from jobs.queue import asking_redis
from jobs.status import ENDED, JobDevice, Priority, Stage, State

if TYPE_CHECKING:
    from redis import Redis

LOG_LINES = 20_000
_DAY_S = 86_400
_PER_JOB = ("flight", "tries", "errors", "done", "failed", "workers", "devices", "usage")


@dataclass(frozen=True, slots=True)
class Record:
    """One job as the queue remembers it. `job` is its canonical JSON, `output` its location as JSON; times in seconds."""

    job_id: str
    job: str
    name: str
    output: str
    submitted_at: float
    state: State = "submitted"
    stage: Stage = "plan"
    priority: Priority = "normal"
    device: JobDevice = "any"
    idempotency_key: str = ""
    schedule: str = ""
    reason: str = ""
    waits_for: str = ""
    cancel: int = 0
    retry: int = 0
    accepted_at: float = 0.0
    planned_at: float = 0.0
    embedded_at: float = 0.0
    selected_at: float = 0.0
    ended_at: float = 0.0
    chunks: int = 0
    next: int = 0
    images: int = 0
    to_read: int = 0
    read: int = 0
    attempt: int = 1
    result_url: str = ""

    @property
    def ended(self) -> bool:
        """True once nothing more will happen, unless it is retried."""
        return self.state in ENDED

    @property
    def cancelled(self) -> bool:
        """True once somebody has asked for an end."""
        return bool(self.cancel)


_NUMBERS = [
    one.name for one in fields(Record) if str(one.type) in {"int", "float"} or one.type in {int, float}
]
_LARGEST = 1e11
"""Above every number of a record; so many seconds are 3,000 years."""

_CREATE = """
local known = ARGV[1] ~= '' and redis.call('GET', KEYS[2])
if known then return {known, 0} end
if redis.call('HEXISTS', KEYS[1], 'job') == 1 then return {'', 0} end
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
for name, value in pairs(cjson.decode(ARGV[2])) do redis.call('HSET', KEYS[1], name, value) end
redis.call('HSETNX', KEYS[1], 'submitted_at', string.format('%.6f', now))
redis.call('ZADD', KEYS[3], redis.call('HGET', KEYS[1], 'submitted_at'), ARGV[3])
if ARGV[1] ~= '' then redis.call('SET', KEYS[2], ARGV[3]) end
if ARGV[4] == 'active' then
  redis.call('SADD', KEYS[4], ARGV[3])
  redis.call('ZADD', KEYS[5], now, 'plan')
end
return {ARGV[3], 1}
"""
"""KEYS job, key, jobs, active, flight; ARGV idempotency key, fields as JSON, id, 'active' or ''. Returns an id, this one,
the one that the key stands for, or '' where another job has this id; then 1 if the job was made."""

_REFILL = """
if redis.call('HGET', KEYS[1], 'stage') ~= 'embed' then return {0} end
if tonumber(redis.call('HGET', KEYS[1], 'ended_at') or '0') > 0 then return {0} end
local chunks = tonumber(redis.call('HGET', KEYS[1], 'chunks'))
local next = tonumber(redis.call('HGET', KEYS[1], 'next') or '0')
local flying = redis.call('ZCARD', KEYS[2])
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
local found = {}
while next < chunks and flying < tonumber(ARGV[1]) do
  if redis.call('GETBIT', KEYS[3], next) == 0 and redis.call('SISMEMBER', KEYS[4], next) == 0 then
    redis.call('ZADD', KEYS[2], now, next)
    flying = flying + 1
    table.insert(found, next)
  end
  next = next + 1
end
redis.call('HSET', KEYS[1], 'next', next)
table.insert(found, 1, (next >= chunks and flying == 0) and 1 or 0)
return found
"""
"""KEYS job, flight, done, failed; ARGV window. Returns 1 if every chunk is done or failed, then the chunks to send; of a
job that has ended, none."""

_TO_STAGE = """
if redis.call('HGET', KEYS[1], 'stage') ~= ARGV[1] then return 0 end
if tonumber(redis.call('HGET', KEYS[1], 'ended_at') or '0') > 0 then return 0 end
local now = redis.call('TIME')
now = string.format('%.6f', now[1] + now[2] / 1000000)
redis.call('HSET', KEYS[1], 'stage', ARGV[2], 'state', 'running', 'waits_for', '')
if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], ARGV[3], now) end
if ARGV[4] ~= '' then redis.call('ZADD', KEYS[2], now, ARGV[4]) end
if ARGV[5] ~= '' then redis.call('ZREM', KEYS[2], ARGV[5]) end
return 1
"""
"""KEYS job, flight; ARGV from, to, field of the time, step to send, step that ended. Returns 1 for the one that moved it;
a job that has ended stays where it is."""

_CHUNK_DONE = """
if redis.call('HEXISTS', KEYS[1], 'job') == 0 then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('SETBIT', KEYS[3], ARGV[1], 1) == 1 then return 0 end
redis.call('SREM', KEYS[4], ARGV[1])
redis.call('HINCRBY', KEYS[1], 'read', ARGV[2])
return 1
"""
"""KEYS job, flight, done, failed; ARGV chunk, images read. Returns 1 for the first to say so."""


class Records:
    """The jobs of one deployment. Every method may raise QueueDown."""

    def __init__(self, redis: "Redis", prefix: str) -> None:
        self.redis = redis
        self.prefix = prefix
        self._create = redis.register_script(_CREATE)
        self._refill = redis.register_script(_REFILL)
        self._to_stage = redis.register_script(_TO_STAGE)
        self._chunk_done = redis.register_script(_CHUNK_DONE)

    def key(self, *parts: str) -> str:
        """Return a key of this deployment."""
        return self.prefix + ":".join(parts)

    def server(self) -> str:
        """Return which start of Redis this is; a server that was started anew may lack its latest writes."""
        with asking_redis():
            return str(self.redis.info("server")["run_id"])

    def now(self) -> float:
        """Return the time by the clock of Redis, in seconds."""
        with asking_redis():
            seconds, micros = self.redis.time()
        return seconds + micros / 1e6

    def create(self, record: Record, *, active: bool = True) -> tuple[str, bool]:
        """Remember a job; return its id and True, or the job that its idempotency key stands for, '' if the id is taken.

        An `active` job gets its plan step marked as sent, so that the reconciler finds it where its sender died.
        """
        told = {name: value for name, value in _written(record).items() if value != ""}
        if not record.submitted_at:
            told.pop("submitted_at", None)
        job_id = record.job_id
        keys = [
            self._job(job_id),
            self.key("key", record.idempotency_key),
            self.key("jobs"),
            self.key("active"),
            self._job(job_id, "flight"),
        ]
        args = [record.idempotency_key, json.dumps(told), job_id, "active" if active else ""]
        with asking_redis():
            found, is_new = self._create(keys=keys, args=args)
        return str(found), bool(is_new)

    def load(self, job_id: str) -> Record:
        """Return a job.

        Raises:
            NoSuchJob: the queue does not know it, or no longer.
        """
        with asking_redis():
            found = cast("dict[str, str]", self.redis.hgetall(self._job(job_id)))
        if not found.get("job"):
            raise NoSuchJob(
                f"no job {job_id!r} in the queue; ended jobs are forgotten after some time, their results stay"
            )
        return _read(job_id, found)

    def find(self, job_id: str) -> Record | None:
        """Return a job, or None where the queue does not know it."""
        try:
            return self.load(job_id)
        except NoSuchJob:
            return None

    def change(self, job_id: str, **changes: str | float) -> None:
        """Set fields of a job that is known; a forgotten one stays forgotten."""
        key = self._job(job_id)
        with asking_redis():
            if self.redis.exists(key):
                self.redis.hset(key, mapping=_mapping(changes))

    def ids(self, *, limit: int, offset: int = 0) -> list[str]:
        """Return the latest jobs, latest first."""
        with asking_redis():
            return cast("list[str]", self.redis.zrevrange(self.key("jobs"), offset, offset + limit - 1))

    def is_cancelled(self, job_id: str) -> bool:
        """Tell whether somebody has asked for a job's end."""
        with asking_redis():
            return self.redis.hget(self._job(job_id), "cancel") == "1"

    def lease_key(self, job_id: str, step: str) -> str:
        """Return the key of the lease of a step."""
        return self.key("lease", job_id, step)

    def states(self) -> dict[str, int]:
        """Return how many of the remembered jobs are in each state."""
        with asking_redis():
            pipe = self.redis.pipeline(transaction=False)
            for job_id in self.redis.zrange(self.key("jobs"), 0, -1):
                pipe.hget(self._job(str(job_id)), "state")
            return dict(Counter(str(state) for state in pipe.execute() if state))

    def active(self) -> list[str]:
        """Return the jobs that have not ended, oldest first."""
        with asking_redis():
            return sorted(cast("set[str]", self.redis.smembers(self.key("active"))))

    def planned(self, job_id: str, *, done: Sequence[int], **facts: str | float) -> None:
        """Say what a plan holds: its facts as fields, and the chunks that are done already."""
        with asking_redis():
            pipe = self.redis.pipeline()
            pipe.delete(self._job(job_id, "done"))
            bits = bytearray(-(-int(facts["chunks"]) // 8))
            for index in done:
                bits[index // 8] |= 0x80 >> index % 8
            if bits:
                pipe.set(self._job(job_id, "done"), bytes(bits))
            pipe.hset(self._job(job_id), mapping=_mapping({**facts, "next": 0, "read": 0}))
            pipe.execute()

    def refill(self, job_id: str, *, window: int) -> tuple[bool, list[int]]:
        """Return whether every chunk is done or given up, and the chunks to send now, marked as sent."""
        keys = [self._job(job_id), *(self._job(job_id, part) for part in ("flight", "done", "failed"))]
        with asking_redis():
            complete, *chunks = self._refill(keys=keys, args=[window])
        return bool(complete), [int(index) for index in chunks]

    def to_stage(
        self, job_id: str, stage: Stage, to: Stage, *, at: str = "", step: str = "", ended: str = ""
    ) -> bool:
        """Move a job from one stage to the next; True for the one caller that did, who then sends `step`.

        `at` is the field that keeps the time, `ended` the step that is no longer in flight.
        """
        keys = [self._job(job_id), self._job(job_id, "flight")]
        with asking_redis():
            return bool(self._to_stage(keys=keys, args=[stage, to, at, step, ended]))

    def flight(self, job_id: str) -> dict[str, float]:
        """Return the steps that were sent and have not ended, with the times at which they were."""
        with asking_redis():
            found = self.redis.zrange(self._job(job_id, "flight"), 0, -1, withscores=True)
        return dict(cast("list[tuple[str, float]]", found))

    def sent(self, job_id: str, step: str, *, at: float) -> None:
        """Note when a step was sent, or when it may be sent next, if that lies ahead."""
        with asking_redis():
            self.redis.zadd(self._job(job_id, "flight"), {step: at})

    def sent_again(self, job_id: str, step: str, *, at: float) -> bool:
        """Do as `sent`, unless the step is no longer in flight: it may have ended since it was missed."""
        with asking_redis():
            return bool(self.redis.zadd(self._job(job_id, "flight"), {step: at}, xx=True, ch=True))

    def landed(self, job_id: str, step: str) -> None:
        """Note that a step is no longer in flight."""
        with asking_redis():
            self.redis.zrem(self._job(job_id, "flight"), step)

    def begin(self, job_id: str, step: str) -> int:
        """Count a try of a step; return how many there were."""
        with asking_redis():
            return int(self.redis.hincrby(self._job(job_id, "tries"), step, 1))

    def unbegin(self, job_id: str, step: str) -> None:
        """Take a try back that ended by no fault of the step."""
        with asking_redis():
            self.redis.hincrby(self._job(job_id, "tries"), step, -1)

    def tries(self, job_id: str) -> dict[str, int]:
        """Return how often each step was begun."""
        with asking_redis():
            found = cast("dict[str, str]", self.redis.hgetall(self._job(job_id, "tries")))
        return {step: int(count) for step, count in found.items() if count.isdigit()}

    def note_error(self, job_id: str, step: str, text: str) -> None:
        """Keep the last error of a step."""
        with asking_redis():
            self.redis.hset(self._job(job_id, "errors"), step, text)

    def errors(self, job_id: str) -> dict[str, str]:
        """Return the last error of each step that had one."""
        with asking_redis():
            return cast("dict[str, str]", self.redis.hgetall(self._job(job_id, "errors")))

    def chunk_done(
        self, job_id: str, index: int, *, read: int, worker: str, device: str, seconds: float
    ) -> bool:
        """Note that a chunk is done, and who needed how long to read how many images; True for the first to say so."""
        keys = [self._job(job_id), *(self._job(job_id, part) for part in ("flight", "done", "failed"))]
        with asking_redis():
            first = bool(self._chunk_done(keys=keys, args=[index, read]))
            if first and read:
                pipe = self.redis.pipeline()
                workers = self._job(job_id, "workers")
                pipe.hincrby(workers, f"{worker}|chunks", 1)
                pipe.hincrby(workers, f"{worker}|images", read)
                pipe.hincrbyfloat(workers, f"{worker}|seconds", seconds)
                pipe.sadd(self._job(job_id, "devices"), device)
                pipe.execute()
        return first

    def chunk_failed(self, job_id: str, index: int) -> None:
        """Give a chunk up."""
        with asking_redis():
            pipe = self.redis.pipeline()
            pipe.sadd(self._job(job_id, "failed"), index)
            pipe.zrem(self._job(job_id, "flight"), index)
            pipe.execute()

    def failed(self, job_id: str) -> list[int]:
        """Return the chunks that were given up."""
        with asking_redis():
            found = cast("set[str]", self.redis.smembers(self._job(job_id, "failed")))
        return sorted(int(index) for index in found)

    def is_done(self, job_id: str, index: int) -> bool:
        """Tell whether a chunk is done."""
        with asking_redis():
            return bool(self.redis.getbit(self._job(job_id, "done"), index))

    def done_count(self, job_id: str) -> int:
        """Return how many chunks are done."""
        with asking_redis():
            return int(self.redis.bitcount(self._job(job_id, "done")))

    def worker_rates(self, job_id: str) -> dict[str, tuple[int, int, float]]:
        """Return chunks, images and seconds of each worker that finished a chunk of a job."""
        with asking_redis():
            found = cast("dict[str, str]", self.redis.hgetall(self._job(job_id, "workers")))
        names = sorted({field.rpartition("|")[0] for field in found})
        return {
            name: (
                int(_amount(found.get(f"{name}|chunks", "0"))),
                int(_amount(found.get(f"{name}|images", "0"))),
                _amount(found.get(f"{name}|seconds", "0")),
            )
            for name in names
        }

    def devices(self, job_id: str) -> list[str]:
        """Return what a job's chunks were computed on."""
        with asking_redis():
            return sorted(cast("set[str]", self.redis.smembers(self._job(job_id, "devices"))))

    def count(self, totals: Mapping[str, float]) -> None:
        """Add to the counters of the deployment."""
        with asking_redis():
            pipe = self.redis.pipeline()
            for name, amount in totals.items():
                pipe.hincrbyfloat(self.key("totals"), name, amount)
            pipe.execute()

    def totals(self) -> dict[str, float]:
        """Return the counters of the deployment."""
        with asking_redis():
            found = cast("dict[str, str]", self.redis.hgetall(self.key("totals")))
        return {name: _amount(amount) for name, amount in found.items()}

    def add_usage(self, job_id: str, stage: str, usage: Mapping[str, float]) -> None:
        """Add requests, bytes and seconds to what a stage of a job has cost."""
        with asking_redis():
            pipe = self.redis.pipeline()
            for name, amount in usage.items():
                pipe.hincrbyfloat(self._job(job_id, "usage"), f"{stage}|{name}", amount)
                if name.startswith("bytes_"):
                    pipe.hincrbyfloat(self.key("totals"), name, amount)
            pipe.execute()

    def usage(self, job_id: str) -> dict[str, dict[str, float]]:
        """Return what each stage of a job has cost."""
        with asking_redis():
            found = cast("dict[str, str]", self.redis.hgetall(self._job(job_id, "usage")))
        stages: dict[str, dict[str, float]] = {}
        for field, amount in sorted(found.items()):
            stage, _, name = field.partition("|")
            stages.setdefault(stage, {})[name] = _amount(amount)
        return stages

    def log(self, job_id: str, lines: Iterable[str]) -> None:
        """Append lines to a job's log; the first 20,000 are kept."""
        lines = list(lines)
        if not lines:
            return
        key = self._job(job_id, "log")
        with asking_redis():
            if self.redis.rpush(key, *lines) > LOG_LINES:
                self.redis.ltrim(key, 0, LOG_LINES - 1)

    def read_log(self, job_id: str, *, start: int = 0) -> list[str]:
        """Return a job's log from line `start` on."""
        with asking_redis():
            return cast("list[str]", self.redis.lrange(self._job(job_id, "log"), start, -1))

    def end(self, job_id: str, *, state: State, keep_days: float, **changes: str | float) -> bool:
        """Note how a job ended; True for the first to say so. It is forgotten after `keep_days`."""
        key, expire_s = self._job(job_id), int(keep_days * _DAY_S)
        with asking_redis():
            pipe = self.redis.pipeline()
            pipe.srem(self.key("active"), job_id)
            pipe.hset(
                key,
                mapping=_mapping(
                    {"state": state, "ended_at": self.now(), "waits_for": "", "retry": 0, **changes}
                ),
            )
            pipe.delete(self._job(job_id, "flight"))
            for part in ("", *_PER_JOB, "log"):
                pipe.expire(self._job(job_id, part) if part else key, expire_s)
            first = bool(pipe.execute()[0])
            idempotency_key = self.redis.hget(key, "idempotency_key")
            if idempotency_key:
                self.redis.expire(self.key("key", str(idempotency_key)), expire_s)
            self.redis.zremrangebyscore(self.key("jobs"), "-inf", self.now() - 2 * expire_s)
        return first

    def reopen(self, job_id: str) -> None:
        """Make an ended job active again: its tries are forgotten, its plan step is marked as sent."""
        now = self.now()
        with asking_redis():
            pipe = self.redis.pipeline()
            for part in ("flight", "tries", "errors", "failed"):
                pipe.delete(self._job(job_id, part))
            for key in (self._job(job_id), *(self._job(job_id, part) for part in (*_PER_JOB, "log"))):
                pipe.persist(key)
            pipe.hset(
                self._job(job_id),
                mapping={
                    "state": "submitted",
                    "stage": "plan",
                    "cancel": 0,
                    "retry": 1,
                    "reason": "",
                    "ended_at": 0,
                },
            )
            pipe.hincrby(self._job(job_id), "attempt", 1)
            pipe.zadd(self._job(job_id, "flight"), {"plan": now})
            pipe.sadd(self.key("active"), job_id)
            pipe.execute()

    def _job(self, job_id: str, part: str = "") -> str:
        return self.key("job", job_id, part) if part else self.key("job", job_id)


def _mapping(values: Mapping[str, str | float]) -> Mapping[Any, Any]:
    return (
        values  # redis-py wants keys that may be anything, which a mapping of texts is not to a type checker
    )


def _written(record: Record) -> dict[str, str]:
    return {one.name: str(getattr(record, one.name)) for one in fields(Record) if one.name != "job_id"}


def _read(job_id: str, found: Mapping[str, str]) -> Record:
    known = {one.name for one in fields(Record)}
    values = {name: value for name, value in found.items() if name in known}
    try:
        record = _as_record.validate_python({**values, "job_id": job_id})
        numbers = [float(getattr(record, name)) for name in _NUMBERS]
    except (ValidationError, OverflowError) as error:
        where = error.errors()[0]["loc"][0] if isinstance(error, ValidationError) else "a number"
        raise DamagedRecord(f"the record of {job_id} is damaged at {where}; nobody works on it") from error
    if not all(0 <= number < _LARGEST for number in numbers):
        raise DamagedRecord(f"the record of {job_id} is damaged at a number; nobody works on it")
    return record


def _amount(text: str) -> float:
    """Return a number that is only told to people; what is none counts as 0."""
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if abs(number) < _LARGEST * 1e9 else 0.0


_as_record = TypeAdapter(Record)
