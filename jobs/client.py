"""Submit jobs to the queue and follow them: the same verbs as the command line, for programs."""

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from jobs.contract import shown
from jobs.errors import JobRejected, NoSuchJob, QueueDown, QueueError
from jobs.ids import is_job_id, new_job_id
from jobs.queue import PRIORITIES, connect, make_app, queue_of, send
from jobs.records import Record, Records
from jobs.schedule import Schedule, Schedules, make_schedule
from jobs.settings import QueueSettings, read_settings
from jobs.spec import Job, SelectionJob, canonical_json, parse_job
from jobs.status import ChunkProgress, JobStatus, Priority, State, WorkerRate
from jobs.workers import living_workers, serving

MAX_KEY = 200

logger = logging.getLogger(__name__)


class Client:
    """A client of one deployment's queue. Needs the base install only, and Redis; it never touches a bucket.

        client = Client()                       # FRAMESIFT_REDIS_URL
        job = client.submit({"kind": "selection", ...}, idempotency_key="night-2026-11-20")
        client.wait(job.job_id).result_url

    Safe to share between threads. Every method may raise QueueDown; those that take a job's id NoSuchJob.
    """

    def __init__(self, settings: QueueSettings | None = None) -> None:
        self._settings = settings or read_settings(QueueSettings)
        self._records = Records(connect(self._settings), self._settings.redis_prefix)
        self._app = make_app(self._settings)
        self.schedules = Schedules(self._records)

    @classmethod
    def to(cls, redis_url: str, **settings: Any) -> Self:
        """Return a client of the queue at a URL."""
        return cls(read_settings(QueueSettings, redis_url=redis_url, **settings))

    def submit(
        self,
        job: Job | Mapping[str, Any] | str | bytes,
        *,
        idempotency_key: str | None = None,
        priority: Priority = "normal",
        schedule: str = "",
    ) -> JobStatus:
        """Put a job into the queue and return where it stands; it is durable once that is `accepted`.

        The same idempotency key with the same job gives the job that it stands for, however often it is submitted.

        Raises:
            JobRejected: the job is wrong, or the key stands for another job.
        """
        parsed = parse_job(job) if isinstance(job, Mapping | str | bytes) else job
        if not isinstance(parsed, SelectionJob):
            raise JobRejected(f"kind: {parsed.kind!r} cannot be queued; choose selection")
        if priority not in PRIORITIES:
            raise JobRejected(f"priority: should be one of {', '.join(PRIORITIES)} (got {shown(priority)})")
        text = canonical_json(parsed)
        now = datetime.now(UTC)
        while True:
            job_id = new_job_id(text, now)
            record = Record(
                job_id=job_id,
                job=text,
                name=parsed.name,
                output=parsed.datasource.output.model_dump_json(),
                submitted_at=0.0,
                priority=priority,
                device=parsed.device,
                idempotency_key=_checked(idempotency_key),
                schedule=schedule,
            )
            found, is_new = self._records.create(record)
            if is_new:
                self._send_plan(record)
                return self.status(job_id)
            if found:
                return self._same(found, text, str(idempotency_key))
            now += timedelta(
                seconds=1
            )  # two submissions of one job within a second: the later takes the next one

    def status(self, job_id: str) -> JobStatus:
        """Return where a job stands."""
        return self._told(self._records.load(_job_id(job_id)))

    def list(self, *, limit: int = 20, state: State | None = None) -> list[JobStatus]:
        """Return the latest jobs, latest first; those in a state only, where one is given. Damaged records are left out."""
        found: list[JobStatus] = []
        offset = 0
        while len(found) < limit:
            ids = self._records.ids(limit=100, offset=offset)
            if not ids:
                break
            offset += len(ids)
            for job_id in ids:
                try:
                    record = self._records.find(job_id)
                    if record is not None and state in {None, record.state}:
                        found.append(self._told(record))
                except QueueDown:
                    raise
                except QueueError as error:
                    logger.warning("%s", error)
        return found[:limit]

    def cancel(self, job_id: str, *, reason: str = "") -> JobStatus:
        """Ask for a job's end. Its steps stop between two batches; finished chunks stay. An ended job stays as it is."""
        record = self._records.load(_job_id(job_id))
        if not record.ended:
            self._records.change(job_id, cancel=1, reason=reason or "cancelled by its user")
            self._send_plan(record)
        return self.status(job_id)

    def retry(self, job_id: str) -> JobStatus:
        """Take a failed or cancelled job up again, on the listing that it froze; finished chunks are not computed again.

        Raises:
            QueueError: the job has not ended, or it is done.
        """
        record = self._records.load(_job_id(job_id))
        if record.state not in {"failed", "cancelled"}:
            raise QueueError(f"{job_id} is {record.state}; only a failed or cancelled job can be retried")
        self._records.reopen(job_id)
        self._send_plan(record)
        return self.status(job_id)

    def logs(self, job_id: str, *, start: int = 0) -> Sequence[dict[str, Any]]:
        """Return the events of a job from number `start` on, as log.jsonl has them."""
        self._records.load(_job_id(job_id))
        return [_event(line) for line in self._records.read_log(job_id, start=start)]

    def watch(
        self, job_id: str, *, every_s: float = 1.0, timeout_s: float | None = None
    ) -> Iterator[JobStatus]:
        """Yield where a job stands, again and again until it has ended; the last one says how.

        Raises:
            TimeoutError: it had not ended within `timeout_s`.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            status = self.status(job_id)
            yield status
            if status.ended:
                return
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"{job_id} is still {status.state} after {timeout_s:g} s")
            time.sleep(every_s)

    def wait(self, job_id: str, *, every_s: float = 1.0, timeout_s: float | None = None) -> JobStatus:
        """Wait until a job has ended and return how."""
        *_, last = self.watch(job_id, every_s=every_s, timeout_s=timeout_s)
        return last

    def add_schedule(
        self,
        name: str,
        *,
        cron: str,
        job: Job | Mapping[str, Any] | str | bytes,
        timezone: str = "UTC",
        priority: Priority = "normal",
    ) -> Schedule:
        """Submit a job at the minutes that a cron expression names; a schedule of this name is replaced.

        Raises:
            JobRejected: the job, the expression, the time zone or the name is wrong.
        """
        schedule = make_schedule(name, cron=cron, timezone=timezone, job=job, priority=priority)
        self.schedules.add(schedule)
        return schedule

    def run_now(self, name: str) -> JobStatus:
        """Submit the job of a schedule now, besides its times.

        Raises:
            QueueError: there is no such schedule.
        """
        schedule = self.schedules.get(name)
        status = self.submit(schedule.job, priority=schedule.priority, schedule=name)
        self.schedules.note(name, job=status.job_id)  # the next tick waits for it, as for another tick's
        return status

    def _same(self, job_id: str, text: str, key: str) -> JobStatus:
        """Return the job that an idempotency key stands for."""
        record = self._records.load(job_id)
        if record.job != text:
            raise JobRejected(
                f"idempotency key {shown(key)}: stands for {job_id}, which is another job; choose another key"
            )
        return self._told(record)

    def _send_plan(self, record: Record) -> None:
        queue = queue_of("plan", device=record.device, priority=record.priority)
        send(self._app, "plan", record.job_id, task_id=f"{record.job_id}/plan", queue=queue)

    def _told(self, record: Record) -> JobStatus:
        job_id = record.job_id
        chunks = None
        if record.planned_at:
            chunks = ChunkProgress(
                total=record.chunks,
                done=self._records.done_count(job_id),
                failed=len(self._records.failed(job_id)),
                in_flight=len([step for step in self._records.flight(job_id) if step.isdigit()]),
            )
        rates = [
            WorkerRate(worker=name, chunks=count, images_per_s=images / seconds)
            for name, (count, images, seconds) in self._records.worker_rates(job_id).items()
            if seconds > 0
        ]
        rate = self._rate(record)
        left = record.to_read - record.read
        return JobStatus(
            job_id=job_id,
            name=record.name,
            state=record.state,
            stage=None if record.ended else record.stage,
            priority=record.priority,
            device=record.device,
            idempotency_key=record.idempotency_key or None,
            schedule=record.schedule or None,
            submitted_at=_time(record.submitted_at),
            accepted_at=_time(record.accepted_at) if record.accepted_at else None,
            ended_at=_time(record.ended_at) if record.ended_at else None,
            reason=record.reason or None,
            waits_for=None if record.ended else self._waits_for(record),
            cancelling=record.cancelled and not record.ended,
            chunks=chunks,
            images_read=record.read,
            images_to_read=record.to_read if record.planned_at else None,
            images_per_s=rate,
            eta_s=left / rate if rate and record.stage == "embed" and not record.ended else None,
            slowest=min(rates, key=lambda one: one.images_per_s, default=None),
            workers=len(rates),
            result_url=record.result_url or None,
        )

    def _rate(self, record: Record) -> float | None:
        if not record.planned_at or not record.read:
            return None
        until = record.embedded_at if record.embedded_at > record.planned_at else self._records.now()
        return record.read / max(until - record.planned_at, 1e-3)

    def _waits_for(self, record: Record) -> str | None:
        """Say what keeps a job from going on: somebody who holds what it needs, or that nobody serves its queue."""
        if record.waits_for:
            return record.waits_for
        step = "chunk" if record.stage == "embed" else record.stage
        queue = queue_of(step, device=record.device, priority=record.priority)
        workers = living_workers(self._records)
        if serving(workers, queue):
            return None
        if queue.startswith("cuda"):
            others = sum(not one.cuda for one in workers)
            return f"a worker with a GPU; {others} without one are alive"
        return f"a worker of the queue {queue}; none is alive"


def _event(line: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    return event if isinstance(event, dict) else {"event": "unreadable", "line": line[:200]}


def _checked(key: object) -> str:
    if key is None:
        return ""
    if not isinstance(key, str) or not 1 <= len(key) <= MAX_KEY or not key.isprintable():
        raise JobRejected(
            f"idempotency key: should be 1 to {MAX_KEY} printable characters (got {shown(key)})"
        )
    return key


def _job_id(text: str) -> str:
    if not is_job_id(text):
        raise NoSuchJob(f"{shown(text)} is not a job's id, such as 20261122T041500Z-1a2b3c4d5e6f")
    return text


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
