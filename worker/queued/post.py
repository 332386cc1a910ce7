"""Sends the steps of jobs into the queue, and knows which of them are waiting there."""

import json
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from jobs.queue import KINDS, StepKind, asking_redis, queue_of, send, served
from jobs.records import Record, Records

if TYPE_CHECKING:
    from celery import Celery


class Post:
    """The way from a step to the queue. Every method may raise QueueDown."""

    def __init__(self, app: "Celery", records: Records, *, window: int) -> None:
        self._app = app
        self._records = records
        self._window = window

    def send(self, record: Record, step: str) -> None:
        """Send a step: `plan`, `select`, `report` or the number of a chunk."""
        kind = kind_of_step(step)
        send(
            self._app,
            kind,
            *((record.job_id, int(step)) if kind == "chunk" else (record.job_id,)),
            task_id=task_id(record.job_id, step),
            queue=queue_of(kind, device=record.device, priority=record.priority),
        )

    def send_again(self, record: Record, step: str) -> bool:
        """Send a step that was lost, or that failed and may be tried again, unless it has ended meanwhile; tell whether."""
        is_missing = self._records.sent_again(record.job_id, step, at=self._records.now())
        if is_missing:
            self.send(record, step)
        return is_missing

    def go_on(self, record: Record) -> None:
        """Send as many chunks as the window has room for; after the last one, the selection.

        The steps are marked as sent before they are: if this process dies in between, the reconciler sends them.
        """
        complete, chunks = self._records.refill(record.job_id, window=self._window)
        for index in chunks:
            self.send(record, str(index))
        if complete and self._records.to_stage(
            record.job_id, "embed", "select", at="embedded_at", step="select"
        ):
            self.send(record, "select")

    def waiting(self) -> set[str]:
        """Return the task ids of all messages that no worker has taken; reads every queue whole.

        Whoever can write to Redis can put anything there: what is no message is not counted.
        """
        found = set()
        for queue in served(KINDS):
            with asking_redis():
                messages = cast("list[str]", self._records.redis.lrange(self._records.prefix + queue, 0, -1))
            for message in messages:
                with suppress(ValueError, TypeError, KeyError):
                    found.add(str(json.loads(message)["headers"]["id"]))
        return found


def task_id(job_id: str, step: str) -> str:
    """Return the name of a message; a step that is sent twice has it twice."""
    return f"{job_id}/{step}"


def kind_of_step(step: str) -> StepKind:
    """Return what is done in a step; chunks are numbers."""
    match step:
        case "plan" | "select" | "report":
            return step
        case _:
            return "chunk"


def is_step(step: str) -> bool:
    """Tell whether a text names a step: whoever can write to Redis can write anything."""
    return step in {"plan", "select", "report"} or (step.isascii() and step.isdigit() and len(step) < 11)
