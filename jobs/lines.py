"""A job and a schedule in the words of the command line."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jobs.status import JobStatus

if TYPE_CHECKING:
    from jobs.schedule import Told


def in_one_line(status: JobStatus) -> str:
    """Return a job's state in one line, for watching."""
    parts = [status.state if status.ended or status.state != "running" else str(status.stage)]
    if status.chunks is not None:
        parts.append(f"{status.chunks.done:,} of {status.chunks.total:,} chunks")
        if status.chunks.failed:
            parts.append(f"{status.chunks.failed:,} failed")
    if status.images_per_s and status.stage == "embed":
        parts.append(f"{status.images_per_s:,.1f} sources/s by {status.workers}")
    if status.eta_s is not None:
        parts.append(f"{_duration(status.eta_s)} left")
    if status.waits_for:
        parts.append(f"waits for {status.waits_for}")
    return ", ".join(parts)


def in_lines(status: JobStatus) -> list[str]:
    """Return all that is known of a job, a fact a line."""
    chunks, slowest = status.chunks, status.slowest
    facts = {
        "job": status.job_id,
        "name": status.name,
        "state": status.state + (" (being cancelled)" if status.cancelling else ""),
        "stage": status.stage,
        "why": status.reason,
        "waits for": status.waits_for,
        "chunks": f"{chunks.done:,} of {chunks.total:,} done, {chunks.in_flight:,} in flight, {chunks.failed:,} failed"
        if chunks
        else None,
        "sources": f"{status.images_read:,} of {status.images_to_read:,} read"
        if status.images_to_read is not None
        else None,
        "rate": f"{status.images_per_s:,.1f} sources/s by {status.workers} worker{'s' * (status.workers != 1)}"
        if status.images_per_s
        else None,
        "slowest": f"{slowest.worker}, {slowest.images_per_s:,.1f} sources/s" if slowest else None,
        "left": _duration(status.eta_s) if status.eta_s is not None else None,
        "key": status.idempotency_key,
        "schedule": status.schedule,
        "submitted": f"{status.submitted_at:%Y-%m-%d %H:%M:%S} UTC, priority {status.priority}",
        "ended": f"{status.ended_at:%Y-%m-%d %H:%M:%S} UTC" if status.ended_at else None,
        "results": status.result_url if status.state == "done" else None,
    }
    return [f"{name:<11}{value}" for name, value in facts.items() if value]


def of_schedule(told: "Told") -> str:
    """Return a schedule, when it is due next and what became of it last, in one line."""
    schedule = told.schedule
    parts = [
        f"{schedule.name}: {schedule.cron} {schedule.timezone}",
        f"next {moment(schedule.next_tick(datetime.now(UTC)))}",
        f"last job {told.last_job}" if told.last_job else "no job yet",
    ]
    if told.last_done:
        parts.append(f"last done {moment(told.last_done)}")
    if told.skipped:
        parts.append(f"left out {told.skipped}")
    return ", ".join(parts)


def moment(when: datetime | None) -> str:
    """Return a moment in UTC, or `never`."""
    return f"{when:%Y-%m-%d %H:%M} UTC" if when else "never"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
