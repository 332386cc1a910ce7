"""How queued jobs end: done.json in the bucket, the record in the queue, and whoever wants to be told."""

import logging
import time
from datetime import UTC, datetime

from jobs.datasource import Location
from jobs.errors import JobRejected
from jobs.records import Record, Records
from jobs.schedule import Schedules
from jobs.spec import SelectionJob, parse_job
from jobs.status import State
from worker.errors import JobFailed, StorageError
from worker.events import Events
from worker.layout import result_prefix
from worker.lease import held
from worker.ledger import Ledger
from worker.publish import DONE, EndState, Results
from worker.queued.post import Post, kind_of_step
from worker.queued.stored import ended_from
from worker.queued.webhook import notify
from worker.settings import Settings
from worker.storage.connect import connect
from worker.storage.store import ObjectStore

logger = logging.getLogger(__name__)


class Endings:
    """Ends jobs, and chunks that had their tries. Every method may raise QueueDown."""

    def __init__(self, settings: Settings, records: Records, post: Post) -> None:
        self._settings = settings
        self._records = records
        self._post = post

    def done(self, record: Record) -> None:
        """Note that a job's done.json is written."""
        self._end(record, "done")

    def fail(self, record: Record, reason: str) -> None:
        """End a job as failed, in the bucket too, where that can be written to."""
        self._close(record, "failed", reason)

    def cancel(self, record: Record, *, step: str = "") -> None:
        """End a job whose end was asked for, unless somebody works on it who does not hold `step`; finished chunks stay.

        The last one to stop ends it, else the reconciler: what is cancelled does not go on a little and end otherwise.
        """
        others = [one for one in self._records.flight(record.job_id) if one != step]
        if not any(
            held(self._records.redis, [self._records.lease_key(record.job_id, one) for one in others])
        ):
            self._close(record, "cancelled", record.reason)

    def give_up(self, record: Record, step: str) -> None:
        """End the tries of a step: a chunk counts as failed, anything else ends the job."""
        job_id = record.job_id
        cause = self._records.errors(job_id).get(step) or "whoever worked on it died without a word"
        why = f"tried {self._settings.max_attempts} times: {cause}"
        if kind_of_step(step) != "chunk":
            self.fail(record, f"{step}: {why}")
            return
        self._records.note_error(job_id, step, why)
        self._records.chunk_failed(job_id, int(step))
        self._records.log(job_id, Events.lines("chunk_failed", level="warning", index=int(step), text=why))
        failed, allowed = self._records.failed(job_id), job_of(record).limits.max_failed_chunks
        if len(failed) > allowed:
            self.fail(
                record,
                f"{len(failed)} of {record.chunks} chunks failed, and limits.max_failed_chunks is {allowed};"
                f" chunk {step}: {why}",
            )
        else:
            self._post.go_on(record)

    def has_ended(self, record: Record, output: ObjectStore) -> bool:
        """Where done.json is there, make the record say so."""
        key = result_prefix(record.name, record.job_id) + DONE
        if output.head(key) is None:
            return False
        about = ended_from(output.get(key), at=output.url + key)
        self._records.change(record.job_id, result_url=output.url + result_prefix(record.name, record.job_id))
        self._end(record, about.state, about.reason or "")
        return True

    def _close(self, record: Record, state: EndState, reason: str) -> None:
        place = Location.model_validate_json(record.output)
        if self._may_write(place):
            try:
                store = connect(place, self._settings, may_be_absent=True)
                if not record.retry and self.has_ended(record, store):
                    return
                results = Results(store, record.name, record.job_id)
                results.put(
                    "log.jsonl", log_of(self._records, record.job_id), media_type="application/x-ndjson"
                )
                results.close(
                    state,
                    reason=reason,
                    ledger=ledger_of(self._records, record).to_json(self._settings.prices),
                )
            except (StorageError, JobFailed, JobRejected) as error:
                logger.warning("%s: done.json could not be written: %s", record.job_id, error)
        self._end(record, state, reason)

    def _may_write(self, place: Location) -> bool:
        return any(around.contains(place) for around in self._settings.outputs)

    def _end(self, record: Record, state: State, reason: str = "") -> None:
        first = self._records.end(
            record.job_id, state=state, keep_days=self._settings.keep_records_days, reason=reason
        )
        if not first:
            return
        if record.schedule and state == "done":
            Schedules(self._records).note(record.schedule, done=str(self._records.now()))
        ended = self._records.load(record.job_id)
        event = {
            "job_id": record.job_id,
            "name": record.name,
            "state": state,
            "reason": reason or None,
            "schedule": record.schedule or None,
            "result_url": ended.result_url or None,
        }
        notify(self._settings, event, pause=time.sleep)


def job_of(record: Record) -> SelectionJob:
    """Return the job that a record holds.

    Raises:
        JobRejected: it is none that can be queued; whoever can write to Redis can write anything.
    """
    job = parse_job(record.job)
    if not isinstance(job, SelectionJob):
        raise JobRejected(f"kind: {job.kind!r} cannot be queued; choose selection")
    return job


def log_of(records: Records, job_id: str) -> bytes:
    """Return log.jsonl as far as the queue knows it."""
    return "".join(f"{line}\n" for line in records.read_log(job_id)).encode()


def ledger_of(records: Records, record: Record) -> Ledger:
    """Return what a job has cost so far, as far as the queue knows it, and how long its stages took, waiting included."""
    marks = {
        "plan": (record.accepted_at or record.submitted_at, record.planned_at),
        "embed": (record.planned_at, record.embedded_at),
        "select": (record.embedded_at, record.selected_at),
    }
    durations = {name: end - start for name, (start, end) in marks.items() if end > start > 0}
    return Ledger(datetime.fromtimestamp(record.submitted_at, UTC), durations, records.usage(record.job_id))
