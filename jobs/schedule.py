"""Nightly schedules: a job, a cron expression and a time zone; one run a tick, however many look at the clock."""

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from jobs.contract import did_you_mean, refusal, rejected, shown
from jobs.errors import QueueError
from jobs.names import JobName
from jobs.queue import asking_redis
from jobs.spec import canonical_json, parse_job
from jobs.status import Priority

if TYPE_CHECKING:
    from jobs.records import Records

FORMAT_VERSION = 1

logger = logging.getLogger(__name__)
_OF_THE_MACHINE = {"localtime", "posixrules", "Factory"}
"""Zones that say something else on every machine."""
CATCH_UP = timedelta(hours=6)
"""How late a missed tick may still be made up for."""


class Schedule(BaseModel):
    """A job that is submitted at the minutes that a cron expression names. `job` is its canonical JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = Field(default=FORMAT_VERSION, le=FORMAT_VERSION)
    name: JobName
    cron: str = Field(max_length=200)
    timezone: str = Field(max_length=100)
    job: str = Field(max_length=2**20)
    priority: Priority = "normal"
    created_at: datetime = Field(description="times before it are not made up for")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo("" if name in _OF_THE_MACHINE else name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise refusal(f"{shown(name)} is no time zone; give one such as Europe/Berlin or UTC") from error
        return name

    @field_validator("cron")
    @classmethod
    def _valid_cron(cls, text: str) -> str:
        try:
            CronSim("-" if len(text.split()) != 5 else text, datetime.now(UTC))  # no seconds
        except CronSimError as error:
            raise refusal(
                f"{shown(text)} is no cron expression ({error}); give minute, hour, day, month, weekday, such as '0 2 * * *'"
            ) from error
        return text

    def next_tick(self, after: datetime) -> datetime | None:
        """Return the first tick after a moment, in UTC, or None where there is none for decades.

        A time of day that daylight saving skips or repeats happens once, as Debian's cron has it.
        """
        try:
            tick = next(CronSim(self.cron, after.astimezone(ZoneInfo(self.timezone))))
        except StopIteration:
            return None
        return tick.astimezone(UTC)

    def due(self, *, since: datetime, now: datetime) -> datetime | None:
        """Return the latest tick after `since` and not after `now`, or None.

        What was missed is made up for once, and only if it is at most six hours old.
        """
        found, tick = None, self.next_tick(max(since, now - CATCH_UP, self.created_at))
        while tick is not None and tick <= now:
            found, tick = tick, self.next_tick(tick)
        return found


class Told(BaseModel):
    """A schedule with what became of it."""

    model_config = ConfigDict(frozen=True)

    schedule: Schedule
    last_due: datetime | None = Field(default=None, description="the latest tick that was seen to")
    last_job: str | None = Field(default=None, description="the job that it submitted last")
    last_done: datetime | None = Field(default=None, description="when a job of it was last done")
    skipped: str | None = Field(default=None, description="why the latest tick submitted nothing")


class Schedules:
    """The schedules of one deployment. Every method may raise QueueDown."""

    def __init__(self, records: "Records") -> None:
        self._records = records
        self._key = records.key("schedules")
        self._removed = records.key("schedules", "removed")

    def add(self, schedule: Schedule) -> None:
        """Add a schedule, or put it in the place of the one with its name."""
        former = self._find(schedule.name)
        with asking_redis():
            pipe = self._records.redis.pipeline()
            pipe.hset(self._key, schedule.name, schedule.model_dump_json())
            if former is not None and former.job != schedule.job:
                pipe.sadd(self._removed, former.model_dump_json())
            pipe.execute()

    def get(self, name: str) -> Schedule:
        """Return a schedule.

        Raises:
            QueueError: there is none of this name, or it is damaged.
        """
        with asking_redis():
            text = cast("str | None", self._records.redis.hget(self._key, name))
        if text is None:
            names = [told.schedule.name for told in self.all()]
            raise QueueError(
                f"no schedule {name!r}; there {'are ' + ', '.join(names) if names else 'is none'}{did_you_mean(name, names)}"
            )
        found = _schedule(text)
        if found is None:
            raise QueueError(f"the schedule {name!r} is damaged; remove it and add it again")
        return found

    def all(self) -> list[Told]:
        """Return every schedule with what became of it, by name; one that is damaged is left out, and logged."""
        with asking_redis():
            found = cast("dict[str, str]", self._records.redis.hgetall(self._key))
            known = cast(
                "dict[str, str]", self._records.redis.hgetall(self._records.key("schedules", "facts"))
            )
        schedules = {name: _schedule(text) for name, text in sorted(found.items())}
        return [
            Told(
                schedule=schedule,
                last_due=_moment(known.get(f"{name}|due")),
                last_job=known.get(f"{name}|job"),
                last_done=_moment(known.get(f"{name}|done")),
                skipped=known.get(f"{name}|skipped") or None,
            )
            for name, schedule in schedules.items()
            if schedule is not None
        ]

    def remove(self, name: str) -> None:
        """Remove a schedule, damaged or not; its jobs stay.

        Raises:
            QueueError: there is none of this name.
        """
        former = self._find(name)
        with asking_redis():
            pipe = self._records.redis.pipeline()
            pipe.hdel(self._key, name)
            if former is not None:  # the beat deletes its copy in the bucket, and needs the place for it
                pipe.sadd(self._removed, former.model_dump_json())
            pipe.hdel(
                self._records.key("schedules", "facts"),
                *(f"{name}|{part}" for part in ("due", "job", "done", "skipped")),
            )
            is_gone = pipe.execute()[0]
        if not is_gone:
            self.get(name)

    def removed(self) -> list[Schedule]:
        """Return the schedules that were removed or replaced, and whose copies may still be in the bucket."""
        with asking_redis():
            found = cast("set[str]", self._records.redis.smembers(self._removed))
        return [schedule for text in sorted(found) if (schedule := _schedule(text)) is not None]

    def forget_removed(self, schedule: Schedule) -> None:
        """Note that nothing is left of a removed schedule."""
        with asking_redis():
            self._records.redis.srem(self._removed, schedule.model_dump_json())

    def _find(self, name: str) -> Schedule | None:
        with asking_redis():
            text = cast("str | None", self._records.redis.hget(self._key, name))
        return None if text is None else _schedule(text)

    def note(self, name: str, **facts: str) -> None:
        """Keep what became of a schedule: `due`, `done` (seconds), `job`, `skipped`."""
        with asking_redis():
            self._records.redis.hset(
                self._records.key("schedules", "facts"),
                mapping={f"{name}|{part}": value for part, value in facts.items()},
            )


def make_schedule(
    name: str,
    *,
    cron: str,
    timezone: str,
    job: Any,
    priority: Priority = "normal",
    now: datetime | None = None,
) -> Schedule:
    """Return a schedule of a valid job.

    Raises:
        JobRejected: the job, the cron expression, the time zone or the name is wrong.
    """
    given = {
        "name": name,
        "cron": cron,
        "timezone": timezone,
        "job": canonical_json(parse_job(job)),
        "priority": priority,
        "created_at": (now or datetime.now(UTC)).isoformat(),
    }
    try:
        return Schedule.model_validate(given)
    except ValidationError as error:
        raise rejected(error, given) from error


def tick_key(name: str, tick: datetime) -> str:
    """Return the idempotency key of one tick: whoever submits it, it is one job."""
    return f"schedule:{name}:{tick.astimezone(UTC):%Y-%m-%dT%H:%MZ}"


def _schedule(text: str) -> Schedule | None:
    """Return the schedule that Redis holds, or None where it holds something else."""
    try:
        return Schedule.model_validate_json(text)
    except ValidationError as error:
        logger.warning("a schedule in Redis is damaged: %s", error.errors()[0]["msg"])
        return None


def _moment(seconds: str | None) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(seconds), UTC) if seconds else None
    except (ValueError, OverflowError, OSError):
        return None
