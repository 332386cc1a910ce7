"""Finds work that nobody does and sends it again."""

import logging

from jobs.errors import QueueDown
from jobs.queue import asking_redis
from jobs.records import Record, Records
from jobs.schedule import Schedules
from worker.lease import held
from worker.queued.endings import Endings
from worker.queued.post import Post, is_step, kind_of_step, task_id
from worker.queued.recall import Recall
from worker.queued.schedule_copies import ScheduleCopies
from worker.settings import Settings

logger = logging.getLogger(__name__)


class Reconciler:
    """Compares what should be under way with what is. Any number may run: what they do is done once."""

    def __init__(self, settings: Settings, records: Records, post: Post) -> None:
        self._settings = settings
        self._records = records
        self._post = post
        self._endings = Endings(settings, records, post)
        copies = ScheduleCopies(settings, Schedules(records))
        self._recall = Recall(settings, records, copies)

    def reconcile(self) -> int:
        """Look at every job that has not ended; return how many steps were sent again.

        Cost: one read of each queue and some requests to Redis a job; the bucket is asked only after a loss.

        Raises:
            QueueDown: Redis does not answer.
        """
        self._recall.recall()
        waiting = self._post.waiting()
        sent = 0
        for job_id in self._records.active():
            try:
                record = self._records.find(job_id)
                if record is not None:
                    sent += self._reconcile(record, waiting)
            except QueueDown:
                raise
            except Exception as error:  # noqa: BLE001  # whatever is wrong with one job, the others are looked after
                logger.warning("%s: %s: %s", job_id, type(error).__name__, error)
        self._records.count({"requeued": sent})
        with asking_redis():
            self._records.redis.set(self._records.key("reconciled"), self._records.now())
        return sent

    def _reconcile(self, record: Record, waiting: set[str]) -> int:
        """Send the steps of a job that were sent a while ago and are nowhere; end it if that was asked for."""
        job_id = record.job_id
        flight = {step: at for step, at in self._records.flight(job_id).items() if is_step(step)}
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
        return {step: at for step, at in self._records.flight(record.job_id).items() if is_step(step)}
