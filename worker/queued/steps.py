"""What each step of a queued job does, on top of what `runner.py` does in one process; it may be done twice at once.

Each ends by saying what comes next: the plan sends the first chunks, a chunk the next ones, the last chunk the
selection, that the report.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial

from jobs.errors import QueueDown
from jobs.ids import digest
from jobs.records import Record, Records
from jobs.spec import SelectionJob
from jobs.workers import tell_gpu_memory
from worker.device import Device, gpu_memory
from worker.errors import ObjectMissing, StoreMissing
from worker.events import Events
from worker.findings import findings_from_bytes, findings_to_bytes
from worker.history import FAILED, FINDINGS, JOB, PLAN, SUBMISSION, count_attempt
from worker.intake.seen import seen_set
from worker.layout import CHUNKS, job_key, result_prefix
from worker.lease import Lease, NotYet
from worker.ledger import Meter
from worker.manifest import Plan, Terms, plan_from_bytes, plan_to_bytes
from worker.nothing_new import close_without_news
from worker.prepare import Prepared, prepare
from worker.publish import DONE, JSON, Results, json_bytes
from worker.queued.allowed import refuse_other_places
from worker.queued.endings import Endings, job_of, ledger_of, log_of
from worker.queued.outputs import register_output
from worker.queued.post import Post
from worker.queued.recent import Recent
from worker.queued.stored import Submission, failed_from
from worker.queued.totals import skipped_totals
from worker.queued.warm import Warm
from worker.report import Asked, Ran, report
from worker.runner import compute, freeze, missing_work
from worker.select import select
from worker.settings import Settings
from worker.storage.connect import connect
from worker.storage.store import ObjectStore

PLAN_BYTES = 2**28
"""Of plans in memory, or one larger plan."""
READY_JOBS = 8
_INSIST_S = 60.0
_NO_DEVICE = Device("cpu", "CPU", 1)


class Steps:
    """The steps of queued jobs, as one worker process does them; one at a time."""

    def __init__(
        self, settings: Settings, records: Records, post: Post, endings: Endings, *, worker: str
    ) -> None:
        self._settings = settings
        self._records = records
        self._post = post
        self._endings = endings
        self._worker = worker
        self._warm = Warm(settings)
        # The next step is likely of one of the latest jobs: chunks of several take turns.
        self._plans = Recent[bytes](PLAN_BYTES, size=len)
        self._ready = Recent[Prepared](READY_JOBS)

    def do(self, step: str, record: Record, lease: Lease, events: Events) -> None:
        """Do one step of a job whose lease is held. Raises whatever keeps it from being done, and Stopped."""
        match step:
            case "plan":
                self._plan(record, events)
            case "select":
                self._select(record, lease, events)
            case "report":
                self._report(record, lease, events)
            case _:
                self._chunk(record, int(step), lease, events)

    def _plan(self, record: Record, events: Events) -> None:
        """Make the job durable, freeze its input, and send the first chunks."""
        job_id = record.job_id
        job = job_of(record)
        refuse_other_places(job, self._settings)
        output = connect(job.datasource.output, self._settings, may_be_absent=True)
        if record.retry:
            output.delete([result_prefix(job.name, job_id) + DONE, job_key(job_id, FAILED)])
        elif self._endings.has_ended(record, output):
            return
        self._accept(record, job, output)
        prepared = prepare(job, _for_a_queue(self._settings, job))
        meter = Meter(prepared.source, prepared.output, output, device=_NO_DEVICE)
        plan = self._frozen(job_id, prepared, events)
        prepared = prepared.under(plan.terms)
        if plan.nothing_new:
            results = Results(prepared.output, job.name, job_id)
            close_without_news(results, plan, events)
            self._records.change(job_id, result_url=results.url)
            self._endings.done(record)
            return
        attempt = count_attempt(prepared.output, job_id)
        missing = {work.chunk.index: work.chunk for work in missing_work(prepared, plan.chunks, job_id)}
        self._take_back_failed(job_id, output)
        self._records.planned(
            job_id,
            done=[chunk.index for chunk in plan.chunks if chunk.index not in missing],
            chunks=len(plan.chunks),
            images=plan.source_count,
            to_read=sum(len(chunk.sources) for chunk in missing.values()),
            attempt=attempt,
            planned_at=self._records.now(),
            retry=0,
            result_url=prepared.output.url + result_prefix(job.name, job_id),
        )
        events.emit("chunks", total=len(plan.chunks), missing=len(missing))
        self._records.add_usage(job_id, "plan", meter.spent())
        self._records.to_stage(job_id, "plan", "embed", ended="plan")
        self._post.go_on(self._records.load(job_id))

    def _chunk(self, record: Record, index: int, lease: Lease, events: Events) -> None:
        """Compute what a chunk lacks, and send the next ones."""
        job_id, began = record.job_id, time.monotonic()
        job = job_of(record)
        plan = plan_from_bytes(self._plan_bytes(record, job), only=index)
        if not plan.chunks:
            self._records.landed(job_id, str(index))
            return
        (chunk,) = plan.chunks
        prepared = self._prepared(record, job, plan.terms)
        device = prepared.on(self._warm.device)
        meter = Meter(prepared.source, prepared.output, device=device)
        work = missing_work(prepared, [chunk], job_id, prefix=f"{CHUNKS}{chunk.digest}/")
        if work:
            with self._warm.reader(prepared) as reader:
                model = partial(self._warm.model, prepared, device)
                (done,) = compute(prepared, work, job_id, reader=reader, model=model, check=lease.check)
            events.emit("chunk_done", index=index, skipped=done.skipped_count, worker=self._worker)
            for key, traffic in done.traffic:
                events.emit("video_read", source=key, **asdict(traffic))
            self._count(skipped_totals(done.skipped))
        seconds = time.monotonic() - began

        def tell() -> None:
            read = len(chunk.sources) if work else 0
            first = self._records.chunk_done(
                job_id, index, read=read, worker=self._worker, device=device.label, seconds=seconds
            )
            if first:
                self._records.add_usage(job_id, "embed", meter.spent())
                self._count({"chunks": 1, "sources": read})
            used, total = gpu_memory() if device.is_cuda else (0, 0)
            if total:
                tell_gpu_memory(self._records, self._worker, used=used, total=total)
            self._post.go_on(record)

        self._insist(tell, lease)

    def _select(self, record: Record, lease: Lease, events: Events) -> None:
        """Prove by one listing that every chunk is there, then select."""
        job_id, job = record.job_id, job_of(record)
        output = connect(job.datasource.output, self._settings, may_be_absent=True)
        plan = plan_from_bytes(self._plan_bytes(record, job))
        prepared = prepare(job, self._settings, terms=plan.terms)
        device = prepared.on(self._warm.device)
        meter = Meter(prepared.source, prepared.output, output, device=device)
        failed = self._failed(record, output)
        missing = [
            work.chunk.index
            for work in missing_work(prepared, plan.chunks, job_id)
            if work.chunk.index not in failed
        ]
        if missing:
            self._back_to_chunks(record, plan, missing, events)
            return
        results = Results(prepared.output, job.name, job_id, before_put=lease.check)
        with self._alone_in_datapool(job, output):
            findings = select(prepared, plan, results, device=device, events=events, failed=failed)
        output.put(job_key(job_id, FINDINGS), findings_to_bytes(findings, results.artefacts), media_type=JSON)

        def tell() -> None:
            self._records.add_usage(job_id, "select", meter.spent())
            if self._records.to_stage(
                job_id, "select", "report", at="selected_at", step="report", ended="select"
            ):
                self._post.send(record, "report")

        self._insist(tell, lease)

    def _report(self, record: Record, lease: Lease, events: Events) -> None:
        """Draw the report, and write done.json last."""
        job_id, job = record.job_id, job_of(record)
        output = connect(job.datasource.output, self._settings, may_be_absent=True)
        if self._endings.has_ended(record, output):
            return
        plan = plan_from_bytes(self._plan_bytes(record, job))
        prepared = prepare(job, self._settings, terms=plan.terms)
        findings, artefacts = findings_from_bytes(output.get(job_key(job_id, FINDINGS)))
        results = Results(prepared.output, job.name, job_id, list(artefacts), before_put=lease.check)
        with self._warm.reader(prepared) as reader:
            report(
                plan,
                findings,
                results,
                ran=Ran(
                    ledger_of(self._records, record),
                    record.attempt,
                    record.read,
                    self._embedded_on(record),
                    self._settings.prices,
                ),
                reader=reader,
                asked=Asked.by(job),
                seen=seen_set(job, prepared.source),
                events=events,
                log=lambda: log_of(self._records, job_id),
            )
        self._insist(partial(self._endings.done, record), lease)

    def _accept(self, record: Record, job: SelectionJob, output: ObjectStore) -> None:
        """Make the job durable: what the record says of its submission, then job.json."""
        about = Submission(
            idempotency_key=record.idempotency_key,
            priority=record.priority,
            schedule=record.schedule,
            submitted_at=record.submitted_at,
        )
        register_output(job.datasource.output, self._settings)
        output.put(job_key(record.job_id, SUBMISSION), json_bytes(about.model_dump()), media_type=JSON)
        output.put(job_key(record.job_id, JOB), record.job.encode(), media_type=JSON)
        if record.state == "submitted":
            self._records.change(record.job_id, state="accepted", accepted_at=self._records.now())

    def _frozen(self, job_id: str, prepared: Prepared, events: Events) -> Plan:
        """Return the plan that is in the bucket, or make it and put it there."""
        key = job_key(job_id, PLAN)
        with suppress(ObjectMissing, StoreMissing):
            return plan_from_bytes(prepared.output.get(key))
        plan = freeze(prepared, events, datetime.now(UTC))
        body = plan_to_bytes(plan)
        prepared.output.put(key, body, media_type="application/vnd.apache.parquet")
        events.emit("planned", sources=plan.source_count, chunks=len(plan.chunks), ignored=plan.ignored)
        return plan

    def _prepared(self, record: Record, job: SelectionJob, terms: Terms) -> Prepared:
        """Return the job prepared; a model's weights are digested on the way."""
        return self._ready.get((record.job_id, terms), lambda: prepare(job, self._settings, terms=terms))

    def _plan_bytes(self, record: Record, job: SelectionJob) -> bytes:
        """Return plan.parquet."""
        output = connect(job.datasource.output, self._settings, may_be_absent=True)
        return self._plans.get(record.job_id, lambda: output.get(job_key(record.job_id, PLAN)))

    def _failed(self, record: Record, output: ObjectStore) -> dict[int, str]:
        """Return the chunks that were given up, and keep them in the bucket: a selection made again leaves out the same."""
        errors = self._records.errors(record.job_id)
        failed = {index: errors.get(str(index), "") for index in self._records.failed(record.job_id)}
        if failed:
            body = json_bytes({str(index): why for index, why in failed.items()})
            output.put(job_key(record.job_id, FAILED), body, media_type=JSON)
        return failed

    @contextmanager
    def _alone_in_datapool(self, job: SelectionJob, output: ObjectStore) -> Iterator[None]:
        """Keep other selections out of the datapool that this one joins: the next is to see what it keeps.

        A holder that dies is out after `lease_s`.

        Raises:
            NotYet: another job holds it.
        """
        if job.datapool is None or not job.datapool.update:
            yield
            return
        key = self._records.key("lease", "datapool", digest(output.place, job.datapool.name))
        alone = Lease(self._records.redis, key, self._settings.lease_s)
        if not alone.take():
            raise NotYet(f"the datapool {job.datapool.name!r}, to which another job is adding")
        with alone:
            yield

    def _take_back_failed(self, job_id: str, output: ObjectStore) -> None:
        """Give up the chunks that a selection of this job has left out, where the queue has forgotten them."""
        key = job_key(job_id, FAILED)
        if output.head(key) is None:
            return
        for index, why in failed_from(output.get(key), at=output.url + key).items():
            self._records.note_error(job_id, str(index), why)
            self._records.chunk_failed(job_id, index)

    def _back_to_chunks(self, record: Record, plan: Plan, missing: list[int], events: Events) -> None:
        """The records said more than the bucket holds: what is missing is computed after all."""
        events.emit("chunks_missing", level="warning", missing=len(missing))
        left = set(missing)
        self._records.planned(
            record.job_id,
            done=[chunk.index for chunk in plan.chunks if chunk.index not in left],
            chunks=len(plan.chunks),
        )
        self._records.to_stage(record.job_id, "select", "embed", ended="select")
        self._post.go_on(record)

    def _insist(self, call: Callable[[], None], lease: Lease) -> None:
        """Tell the records what is done already; while Redis is away, for a minute, then leave it to the reconciler."""
        deadline = time.monotonic() + _INSIST_S
        while True:
            try:
                call()
                return
            except QueueDown:
                if time.monotonic() > deadline:
                    raise
                lease.check()
                time.sleep(0.5)

    def _embedded_on(self, record: Record) -> Device:
        """Return what to say of the devices that embedded: the report itself is drawn without any."""
        return Device(
            "cpu", " and ".join(self._records.devices(record.job_id)) or "none: every chunk was there", 1
        )

    def _count(self, totals: Mapping[str, float]) -> None:
        with suppress(QueueDown):  # what the metrics miss is no reason to stop
            self._records.count(totals)


def _for_a_queue(settings: Settings, job: SelectionJob) -> Settings:
    """Workers of several kinds share a job, so it computes in float32, unless it needs a GPU and the settings say otherwise."""
    if settings.precision == "bfloat16" and job.device == "cuda":
        return settings
    return settings.model_copy(update={"precision": "float32"})
