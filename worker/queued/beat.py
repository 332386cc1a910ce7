"""The beat: looks for lost work and at the schedules, again and again. Several may run; one at a time does it."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from jobs.client import Client
from jobs.errors import JobRejected, QueueDown, QueueError
from jobs.queue import connect, make_app
from jobs.records import Records
from jobs.schedule import Schedules, Told, tick_key
from worker.errors import FramesiftError
from worker.lease import Lease
from worker.queued.post import Post
from worker.queued.reconcile import Reconciler
from worker.queued.schedule_copies import ScheduleCopies
from worker.service import SIGN_EVERY_S, touch
from worker.settings import Settings

logger = logging.getLogger(__name__)


class Beat:
    """Reconciles every `reconcile_every_s` and submits what schedules are due; what it does twice is done once.

    It does so itself, not by way of the queue: what finds lost work must not wait behind the work.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._records = Records(connect(settings), settings.redis_prefix)
        self._reconciler = Reconciler(
            settings, self._records, Post(make_app(settings), self._records, window=settings.window)
        )
        self._schedules = Schedules(self._records)
        self._copies = ScheduleCopies(settings, self._schedules)
        self._client = Client(settings)

    def run(self, ended: threading.Event) -> None:
        """Go on until `ended` is set. Faults of Redis and of the stores are logged, and the next turn tries again.

        Raises:
            JobRejected: no output that jobs may write to is set.
        """
        if not self._settings.outputs:
            raise JobRejected("FRAMESIFT_OUTPUTS: not set; it names the places that queued jobs may write to")
        with _sign_of_life(self._settings):
            while not ended.is_set():
                try:
                    self.turn(datetime.now(UTC))
                except (QueueError, FramesiftError, JobRejected) as error:
                    logger.warning("beat: %s", error)
                except Exception:
                    logger.exception("beat: this turn failed")
                ended.wait(self._settings.reconcile_every_s)

    def turn(self, now: datetime) -> None:
        """Do once what is to be done, unless another beat is doing it."""
        lease = Lease(self._records.redis, self._records.key("lease", "beat"), self._settings.lease_s)
        if not lease.take():
            return
        with lease:
            sent = self._reconciler.reconcile()
            if sent:
                logger.warning("%d lost steps were sent again", sent)
            for told in self._schedules.all():
                try:
                    self.tick(told, now)
                except QueueDown:
                    raise
                except Exception as error:  # noqa: BLE001  # whatever is wrong with one schedule, the others are seen to
                    logger.warning("schedule %s: %s", told.schedule.name, error)
                    self._schedules.note(told.schedule.name, skipped=str(error))
            self._copies.keep()

    def tick(self, told: Told, now: datetime) -> None:
        """Submit a schedule's job if a tick is due: one job a tick, however many beats see it, however often.

        A tick is left out while the job of an earlier one has not ended: both would look at the same new objects.
        """
        schedule = told.schedule
        tick = schedule.due(since=told.last_due or schedule.created_at, now=now)
        if tick is None:
            return
        due = str(tick.timestamp())
        earlier = self._records.find(told.last_job) if told.last_job else None
        if earlier is not None and not earlier.ended:
            self._schedules.note(
                schedule.name, due=due, skipped=f"{tick:%Y-%m-%d %H:%M} UTC: {earlier.job_id} has not ended"
            )
            return
        status = self._client.submit(
            schedule.job,
            idempotency_key=tick_key(schedule.name, tick),
            priority=schedule.priority,
            schedule=schedule.name,
        )
        self._schedules.note(schedule.name, due=due, job=status.job_id, skipped="")
        logger.info("schedule %s: %s submitted for %s", schedule.name, status.job_id, tick)


def run_beat(settings: Settings) -> None:
    """Run a beat until SIGTERM or Ctrl-C.

    Raises:
        JobRejected: no output that jobs may write to is set.
    """
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    logger.info("beat on %s, process %d", socket.gethostname(), os.getpid())
    Beat(settings).run(ended)


@contextmanager
def _sign_of_life(settings: Settings) -> Iterator[None]:
    """Touch the health file every few seconds, so long as the block runs."""
    ended = threading.Event()

    def sign() -> None:
        while True:
            if settings.health_file is not None:
                touch(settings.health_file)
            if ended.wait(SIGN_EVERY_S):
                return

    thread = threading.Thread(target=sign, name="sign of life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
