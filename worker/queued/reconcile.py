"""Finds work that nobody does and sends it again; makes the records anew from the bucket when Redis has lost them."""

import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import cast

from jobs.datasource import Location
from jobs.errors import JobRejected
from jobs.ids import is_job_id
from jobs.queue import asking_redis
from jobs.records import Record, Records
from jobs.schedule import Schedule, Schedules
from jobs.spec import SelectionJob, parse_job
from worker.errors import FramesiftError, StoreMissing
from worker.history import JOB, SUBMISSION
from worker.layout import JOBS, SCHEDULES, job_key, result_prefix
from worker.lease import held
from worker.publish import DONE, JSON
from worker.queued.endings import Endings
from worker.queued.outputs import known_outputs
from worker.queued.post import Post, kind_of_step, task_id
from worker.settings import Settings
from worker.storage.connect import connect
from worker.storage.store import ObjectStore

SUBMISSION_VERSION = 1

logger = logging.getLogger(__name__)


class Reconciler:
    """Compares what should be under way with what is. Any number may run: what they do is done once."""

    def __init__(self, settings: Settings, records: Records, post: Post) -> None:
        self._settings = settings
        self._records = records
        self._post = post
        self._endings = Endings(settings, records, post)
        self._schedules = Schedules(records)

    def reconcile(self) -> int:
        """Look at every job that has not ended; return how many steps were sent again.

        Cost: one read of each queue and some requests to Redis a job; the bucket is asked only after a loss.

        Raises:
            QueueDown: Redis does not answer.
        """
        self._remember()
        waiting = self._post.waiting()
        sent = 0
        for job_id in self._records.active():
            record = self._records.find(job_id)
            if record is None:
                continue
            try:
                sent += self._reconcile(record, waiting)
            except (FramesiftError, JobRejected) as error:
                logger.warning("%s: %s", job_id, error)
        self._records.count({"requeued": sent})
        with asking_redis():
            self._records.redis.set(self._records.key("reconciled"), self._records.now())
        return sent

    def keep_schedules(self) -> None:
        """Keep a copy of every schedule in its output, and delete those of schedules that were removed.

        Raises:
            QueueDown: Redis does not answer. StorageError: an output cannot be read or written.
        """
        for told in self._schedules.all():
            store, key, body = self._copy_of(told.schedule)
            with suppress(StoreMissing):
                if store.head(key) is not None and store.get(key) == body:
                    continue
            store.put(key, body, media_type=JSON)
        for name, schedule in self._schedules.removed().items():
            store, key, _ = self._copy_of(schedule)
            store.delete([key])
            self._schedules.forget_removed(name)

    def _reconcile(self, record: Record, waiting: set[str]) -> int:
        """Send the steps of a job that were sent a while ago and are nowhere; end it if that was asked for."""
        job_id = record.job_id
        flight = self._records.flight(job_id)
        if not flight:
            flight = self._put_in_flight(record)
        steps = list(flight)
        leases = held(self._records.redis, [self._records.lease_key(job_id, step) for step in steps])
        if record.cancelled:
            self._endings.cancel(record)
            return 0
        before = self._records.now() - self._settings.lost_after_s
        lost = [
            step
            for step, is_held in zip(steps, leases, strict=True)
            if not is_held and flight[step] <= before and task_id(job_id, step) not in waiting
        ]
        tries = self._records.tries(job_id) if lost else {}
        sent = 0
        for step in lost:
            if tries.get(step, 0) >= self._settings.max_attempts:
                self._endings.give_up(record, step)
                if kind_of_step(step) != "chunk":
                    return 0
            else:
                sent += self._post.send_again(record, step)
        return sent

    def _put_in_flight(self, record: Record) -> dict[str, float]:
        """Nothing of an active job is under way: whoever was about to send its next step died before it said so."""
        if record.stage == "embed":
            self._post.go_on(record)
        else:
            self._records.sent(record.job_id, record.stage, at=0.0)
        return self._records.flight(record.job_id)

    def _remember(self) -> None:
        """Make records of what the outputs hold, unless this Redis is known to hold it all.

        It does if it is the one, started once, that they were compared with before: an empty one in its place has lost
        everything, and one that was started anew perhaps its last writes. An output that cannot be read now is read
        at the next turn, and keeps nobody waiting.
        """
        epoch, server = self._records.key("epoch"), self._records.server()
        with asking_redis():
            if self._records.redis.get(epoch) == server:
                return
        found, complete = 0, True
        for around in self._settings.outputs:
            try:
                for place in known_outputs(around, self._settings):
                    found += self._remember_place(place)
            except (FramesiftError, JobRejected, ValueError) as error:
                logger.warning("%s: its jobs cannot be looked for: %s", around.url, error)
                complete = False
        if found:
            logger.warning("%d jobs were found in the outputs that Redis did not know", found)
        if complete:
            with asking_redis():
                self._records.redis.set(epoch, server)

    def _remember_place(self, place: Location) -> int:
        """Make records of the jobs and schedules that one output holds; what is known stays as it is. Return the new jobs."""
        store = connect(place, self._settings, may_be_absent=True)
        try:
            keys = [info.key for info in store.list(JOBS)]
            schedules = [info.key for info in store.list(SCHEDULES)]
        except StoreMissing:
            return 0
        found = 0
        for record in self._jobs_in(store, place, keys):
            _, is_new = self._records.create(record, active=not record.ended)
            if not is_new:
                continue
            found += 1
            if record.ended:
                self._records.end(
                    record.job_id,
                    state=record.state,
                    keep_days=self._settings.keep_records_days,
                    ended_at=record.ended_at,
                )
        for key in schedules:
            self._take_back(store.get(key))
        return found

    def _jobs_in(self, store: ObjectStore, place: Location, keys: list[str]) -> Iterator[Record]:
        """Yield a record of each job of the queue that an output shows, unless it is known, or long gone.

        The latest comes first: an idempotency key stands for the last job that was given it.
        """
        names: dict[str, set[str]] = {}
        for key in keys:
            job_id, _, name = key.removeprefix(JOBS).partition("/")
            names.setdefault(job_id, set()).add(name)
        oldest = datetime.now(UTC).timestamp() - self._settings.keep_records_days * 86_400
        for job_id in sorted(names, reverse=True):
            if not ({JOB, SUBMISSION} <= names[job_id] and is_job_id(job_id) and _moment(job_id) > oldest):
                continue
            if self._records.find(job_id) is None:
                try:
                    yield self._record_of(store, place, job_id)
                except (FramesiftError, JobRejected, KeyError, ValueError) as error:
                    logger.warning("%s%s: %s", store.url, job_key(job_id), error)

    def _record_of(self, store: ObjectStore, place: Location, job_id: str) -> Record:
        about = json.loads(store.get(job_key(job_id, SUBMISSION)))
        if about["format_version"] > SUBMISSION_VERSION:
            raise ValueError(
                f"{SUBMISSION} has format {about['format_version']}, this framesift reads up to 1: update it"
            )
        text = store.get(job_key(job_id, JOB)).decode()
        job = parse_job(text)
        if not isinstance(job, SelectionJob) or job.datasource.output != place:
            raise ValueError(f"{JOB} is not a job of this output")
        done = result_prefix(job.name, job_id) + DONE
        end = json.loads(store.get(done)) if store.head(done) is not None else {}
        return Record(
            job_id=job_id,
            job=text,
            name=job.name,
            output=place.model_dump_json(),
            submitted_at=about["submitted_at"],
            accepted_at=self._records.now(),
            ended_at=_moment(job_id) if end else 0.0,
            state=end.get("state", "accepted"),
            reason=end.get("reason") or "",
            priority=about["priority"],
            device=job.device,
            idempotency_key=about["idempotency_key"],
            schedule=about["schedule"],
            result_url=store.url + result_prefix(job.name, job_id) if end else "",
        )

    def _take_back(self, body: bytes) -> None:
        try:
            schedule = Schedule.model_validate_json(body)
        except ValueError as error:
            logger.warning("a schedule in the bucket cannot be read: %s", error)
            return
        with asking_redis():
            known = cast(
                "str | None", self._records.redis.hget(self._records.key("schedules"), schedule.name)
            )
        if known is None:
            self._schedules.add(schedule)

    def _copy_of(self, schedule: Schedule) -> tuple[ObjectStore, str, bytes]:
        job = parse_job(schedule.job)
        store = connect(job.datasource.output, self._settings, may_be_absent=True)
        return store, f"{SCHEDULES}{schedule.name}.json", schedule.model_dump_json(indent=1).encode()


def _moment(job_id: str) -> float:
    """Return when a job's id was made, in seconds."""
    return datetime.strptime(job_id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
