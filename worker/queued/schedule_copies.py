"""Copies of the schedules in their outputs, from which they come back after a loss of Redis."""

import logging
from contextlib import suppress

from jobs.datasource import Location
from jobs.errors import JobRejected
from jobs.schedule import Schedule, Schedules
from jobs.spec import SelectionJob, parse_job
from worker.errors import FramesiftError, StoreMissing
from worker.layout import SCHEDULES
from worker.publish import JSON
from worker.queued.allowed import refuse_other_places
from worker.queued.outputs import register_output
from worker.settings import Settings
from worker.storage.connect import connect
from worker.storage.store import ObjectStore

logger = logging.getLogger(__name__)


class ScheduleCopies:
    """Keeps the copies in step with Redis. A schedule whose place this deployment does not serve has none.

    Every method may raise QueueDown; what goes wrong with one schedule is logged, and costs the others nothing.
    """

    def __init__(self, settings: Settings, schedules: Schedules) -> None:
        self._settings = settings
        self._schedules = schedules

    def keep(self) -> None:
        """Write a copy of every schedule that has none, or another; delete those of schedules that were removed or moved."""
        current = [told.schedule for told in self._schedules.all()]
        places = {(schedule.name, _output(schedule)) for schedule in current}
        for former in self._schedules.removed():
            try:
                if (former.name, _output(former)) not in places:
                    self._store(former).delete([_key(former)])
                self._schedules.forget_removed(former)
            except JobRejected:  # not a place of this deployment, so it has no copy
                self._schedules.forget_removed(former)
            except FramesiftError as error:
                logger.warning("schedule %s: its copy cannot be deleted now: %s", former.name, error)
        for schedule in current:
            try:
                self._write(schedule)
            except (FramesiftError, JobRejected) as error:
                logger.warning("schedule %s: no copy in its output: %s", schedule.name, error)

    def take_back(self, store: ObjectStore, place: Location) -> None:
        """Add the schedules that lie in an output and that Redis does not know; one that is for another output is none of it."""
        with suppress(StoreMissing):
            known = {told.schedule.name for told in self._schedules.all()}
            for key in [info.key for info in store.list(SCHEDULES)]:
                try:
                    schedule = Schedule.model_validate_json(store.get(key))
                    if _output(schedule) != place or _key(schedule) != key:
                        raise ValueError("it is for another place")  # noqa: TRY301
                except (FramesiftError, JobRejected, ValueError) as error:
                    logger.warning("%s%s: not a schedule to take back: %s", store.url, key, error)
                    continue
                if schedule.name not in known:
                    self._schedules.add(schedule)

    def _write(self, schedule: Schedule) -> None:
        store, body = self._store(schedule), schedule.model_dump_json(indent=1).encode()
        with suppress(StoreMissing):
            if store.head(_key(schedule)) is not None and store.get(_key(schedule)) == body:
                return
        register_output(_output(schedule), self._settings)
        store.put(_key(schedule), body, media_type=JSON)

    def _store(self, schedule: Schedule) -> ObjectStore:
        job = parse_job(schedule.job)
        if not isinstance(job, SelectionJob):
            raise JobRejected(f"kind: {job.kind!r} cannot be queued")
        refuse_other_places(job, self._settings)
        return connect(job.datasource.output, self._settings, may_be_absent=True)


def _output(schedule: Schedule) -> Location:
    return parse_job(schedule.job).datasource.output


def _key(schedule: Schedule) -> str:
    return f"{SCHEDULES}{schedule.name}.json"
