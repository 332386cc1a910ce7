"""One try of one step: is it to be done, is it free, how often was it tried; and what an error means for the next try.

Messages may come twice, late or never, and a worker may die anywhere. So a step believes nothing that it can look up: its
result in the bucket says whether it is done, its lease who does it, and the reconciler sends it again if neither is there.
"""

import json
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from jobs.errors import JobRejected, NoSuchJob, QueueDown, QueueError
from jobs.records import Record, Records
from worker.errors import AccessDenied, JobFailed, StorageError, StoreMissing
from worker.events import Events, Fields
from worker.lease import Lease, NotYet, Stopped
from worker.queued.endings import Endings
from worker.queued.post import kind_of_step
from worker.queued.steps import Steps
from worker.queued.totals import step_totals
from worker.settings import Settings

OUTAGE_TRIES = 10
"""How many more tries a step gets for faults of a store than for its own."""
LONGEST_PAUSE_S = 600.0
WAIT_S = 5.0
"""Until a step is tried again that waits for another one, about."""

logger = logging.getLogger(__name__)


class Attempts:
    """Tries steps, one at a time, for one worker process."""

    def __init__(self, settings: Settings, records: Records, steps: Steps, endings: Endings) -> None:
        self._settings = settings
        self._records = records
        self._steps = steps
        self._endings = endings

    def run(self, job_id: str, step: str) -> None:
        """Do one step, if it is to be done and nobody else does it. Raises nothing: what went wrong is in the records."""
        try:
            self._run(job_id, step)
        except QueueError as error:
            logger.warning("%s/%s: %s; the reconciler will send what is missing", job_id, step, error)

    def _run(self, job_id: str, step: str) -> None:
        record = self._records.find(job_id)
        if record is None or record.ended:
            return
        key = self._records.lease_key(job_id, step)
        lease = Lease(
            self._records.redis,
            key,
            self._settings.lease_s,
            is_cancelled=partial(self._records.is_cancelled, job_id),
        )
        if not lease.take():
            return
        with lease:
            record = self._records.load(job_id)  # as it is now that nobody else works on this step
            if record.cancelled:
                self._endings.cancel(record, step=step)
            elif not is_due(record, step) or self._is_done(job_id, step):
                self._records.landed(
                    job_id, step
                )  # a late message: nobody is to wait for it, and it is no try
            elif self._may_try(record, step):
                self._try(record, step, lease)

    def _is_done(self, job_id: str, step: str) -> bool:
        return kind_of_step(step) == "chunk" and self._records.is_done(job_id, int(step))

    def _may_try(self, record: Record, step: str) -> bool:
        """Count a try, and give the step up if it had as many as it may."""
        tries = self._records.begin(record.job_id, step)
        if tries <= self._settings.max_attempts:
            return True
        self._endings.give_up(record, step)
        return False

    def _try(self, record: Record, step: str, lease: Lease) -> None:
        """Do the step; whatever it raises decides whether it is tried again, given up, or ends the job."""
        job_id, kind = record.job_id, kind_of_step(step)
        if record.waits_for:
            self._records.change(job_id, waits_for="")
        began = time.monotonic()
        try:
            self._steps.do(step, record, lease, Events(self._listener(job_id, lease)))
        except Stopped as stopped:
            self._stopped(job_id, step, stopped)
        except NotYet as wanted:
            self._wait(job_id, step, wanted)
        except (QueueDown, NoSuchJob):  # Redis is away, or has lost the job: no fault of the step
            with suppress(QueueDown):
                self._records.unbegin(job_id, step)
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, it costs this step alone
            self._went_wrong(record, step, error)
        except BaseException:  # this process is told to end, which is no fault of the step
            with suppress(QueueDown):
                self._records.unbegin(job_id, step)
            raise
        else:
            with suppress(QueueDown):  # what the metrics miss is no reason to stop
                self._records.count(step_totals(kind, time.monotonic() - began))

    def _went_wrong(self, record: Record, step: str, error: Exception) -> None:
        """A wrong job ends at once; anything else is tried again."""
        if not isinstance(error, JobRejected | JobFailed | StorageError | OSError | MemoryError):
            logger.error("%s/%s failed", record.job_id, step, exc_info=error)
        hopeless = isinstance(error, JobFailed | AccessDenied | StoreMissing)
        if isinstance(error, JobRejected) or (hopeless and kind_of_step(step) != "chunk"):
            self._endings.fail(record, str(error))
        else:
            self._later(record, step, error)

    def _later(self, record: Record, step: str, error: Exception) -> None:
        """Try a step again after a pause that doubles, unless it had its tries."""
        job_id = record.job_id
        text = str(error) or type(error).__name__
        self._records.note_error(job_id, step, text)
        self._records.log(job_id, Events.lines("step_failed", level="warning", step=step, text=text))
        self._records.count({f"failed|{kind_of_step(step)}": 1})
        outage = isinstance(error, StorageError) and not isinstance(error, AccessDenied | StoreMissing)
        if outage:
            self._records.unbegin(job_id, step)
        counted = f"{step} outage" if outage else step
        tries = self._records.begin(job_id, counted) if outage else self._records.tries(job_id).get(step, 1)
        if tries >= self._settings.max_attempts + (OUTAGE_TRIES if outage else 0):
            self._endings.give_up(record, step)
            return
        pause = min(LONGEST_PAUSE_S, self._settings.lost_after_s * 2.0 ** (tries - 1) / 2)
        # The reconciler sends what was sent `lost_after_s` ago and is nowhere.
        self._records.sent_again(job_id, step, at=self._records.now() + pause - self._settings.lost_after_s)

    def _wait(self, job_id: str, step: str, wanted: NotYet) -> None:
        """Try a step again soon, and say meanwhile what it waits for."""
        self._records.unbegin(job_id, step)
        self._records.change(job_id, waits_for=str(wanted))
        pause = min(WAIT_S, self._settings.lost_after_s)
        self._records.sent_again(job_id, step, at=self._records.now() + pause - self._settings.lost_after_s)

    def _stopped(self, job_id: str, step: str, stopped: Stopped) -> None:
        with suppress(QueueDown):
            self._records.unbegin(job_id, step)
        if stopped.cause == "cancelled":
            self._endings.cancel(self._records.load(job_id), step=step)
        elif stopped.cause == "orphaned":
            os._exit(1)  # the worker is dead, and nobody would read what this process says

    def _listener(self, job_id: str, lease: Lease) -> Callable[[dict[str, Fields]], None]:
        """Return what hears a step's events: the job's log, and the lease, which may end the step."""

        def hear(event: dict[str, Fields]) -> None:
            lease.check()
            if event["event"] != "progress":
                with suppress(QueueDown):  # the log is for people; the step goes on without it
                    self._records.log(job_id, [json.dumps(event)])

        return hear


def is_due(record: Record, step: str) -> bool:
    """Tell whether a step belongs to the stage that its job is in; a message of a stage that is over is late."""
    kind = kind_of_step(step)
    return record.stage == ("embed" if kind == "chunk" else kind)
