"""Makes the records of a queue anew from the bucket, when Redis has lost them or may have."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from jobs.datasource import Location
from jobs.errors import JobRejected, QueueDown, QueueError
from jobs.ids import is_job_id
from jobs.queue import asking_redis
from jobs.records import Record, Records
from jobs.spec import SelectionJob, parse_job
from worker.errors import FramesiftError, JobFailed, StoreMissing
from worker.history import JOB, SUBMISSION
from worker.layout import JOBS, job_key, result_prefix
from worker.publish import DONE
from worker.queued.outputs import known_outputs
from worker.queued.schedule_copies import ScheduleCopies
from worker.queued.stored import ended_from, submission_from
from worker.settings import Settings
from worker.storage.connect import connect
from worker.storage.store import ObjectStore

logger = logging.getLogger(__name__)


class Recall:
    """Compares what Redis knows with what the outputs hold. What cannot be read costs itself alone, and is logged."""

    def __init__(self, settings: Settings, records: Records, copies: ScheduleCopies) -> None:
        self._settings = settings
        self._records = records
        self._copies = copies

    def recall(self) -> None:
        """Make records of what the outputs hold, unless this Redis is known to hold it all.

        It does if it is the one, started once, that they were compared with before: an empty one in its place has lost
        everything, and one that was started anew perhaps its last writes. An output that cannot be read now is read
        at the next turn, and keeps nobody waiting.

        Raises:
            QueueDown: Redis does not answer.
        """
        epoch, server = self._records.key("epoch"), self._records.server()
        with asking_redis():
            if self._records.redis.get(epoch) == server:
                return
        found, complete = 0, True
        for around in self._settings.outputs:
            try:
                for place in known_outputs(around, self._settings):
                    found += self._recall_place(place)
            except (FramesiftError, JobRejected, ValueError) as error:
                logger.warning("%s: its jobs cannot be looked for: %s", around.url, error)
                complete = False
        if found:
            logger.warning("%d jobs were found in the outputs that Redis did not know", found)
        if complete:
            with asking_redis():
                self._records.redis.set(epoch, server)

    def _recall_place(self, place: Location) -> int:
        """Make records of the jobs and schedules that one output holds; what is known stays as it is. Return the new jobs."""
        store = connect(place, self._settings, may_be_absent=True)
        try:
            keys = [info.key for info in store.list(JOBS)]
        except StoreMissing:
            return 0
        found = sum(self._remember(record) for record in self._jobs_in(store, place, keys))
        self._copies.take_back(store, place)
        return found

    def _remember(self, record: Record) -> bool:
        job_id, is_new = self._records.create(record, active=not record.ended)
        if not is_new and job_id not in {"", record.job_id}:  # its key stands for a later job now
            _, is_new = self._records.create(replace(record, idempotency_key=""), active=not record.ended)
        if is_new and record.ended:
            self._records.end(
                record.job_id,
                state=record.state,
                keep_days=self._settings.keep_records_days,
                ended_at=record.ended_at,
            )
        return is_new

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
            if not (is_job_id(job_id) and {JOB, SUBMISSION} <= names[job_id]):
                continue
            try:
                if _moment(job_id) > oldest and self._records.find(job_id) is None:
                    yield self._record_of(store, place, job_id)
            except QueueDown:
                raise
            except (FramesiftError, JobRejected, QueueError, ValueError) as error:
                logger.warning("%s%s: %s", store.url, job_key(job_id), error)

    def _record_of(self, store: ObjectStore, place: Location, job_id: str) -> Record:
        at = f"{store.url}{job_key(job_id)}"
        about = submission_from(store.get(job_key(job_id, SUBMISSION)), at=f"{at}{SUBMISSION}")
        text = store.get(job_key(job_id, JOB)).decode()
        job = parse_job(text)
        if not isinstance(job, SelectionJob) or job.datasource.output != place:
            raise JobFailed(f"{JOB} is not a job of this output")
        prefix = result_prefix(job.name, job_id)
        end = None
        if store.head(prefix + DONE) is not None:
            end = ended_from(store.get(prefix + DONE), at=f"{store.url}{prefix}{DONE}")
        return Record(
            job_id=job_id,
            job=text,
            name=job.name,
            output=place.model_dump_json(),
            submitted_at=about.submitted_at,
            accepted_at=self._records.now(),
            ended_at=_moment(job_id) if end else 0.0,
            state=end.state if end else "accepted",
            reason=(end.reason or "") if end else "",
            priority=about.priority,
            device=job.device,
            idempotency_key=about.idempotency_key,
            schedule=about.schedule,
            result_url=store.url + prefix,
        )


def _moment(job_id: str) -> float:
    """Return when a job's id was made, in seconds; a ValueError where no clock shows that."""
    return datetime.strptime(job_id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
