"""Runs a job in this process, step after step: the embedded default, with no broker."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from worker.chunk import ChunkDone, Embed, Embedding, Work, compute_chunks
from worker.decoding_processes import DecodingProcesses, start_decoding
from worker.device import Device, choose_device
from worker.events import Events
from worker.facets import missing_facets
from worker.facts import Counts
from worker.findings import Findings, FrameAddress
from worker.foresight import foresee
from worker.history import PLAN, begin_run, count_attempt, unfinished_run
from worker.intake.seen import seen_set
from worker.intake.take_in import take_in
from worker.layout import CHUNKS, job_key
from worker.ledger import Ledger
from worker.manifest import Chunk, Plan, plan_from_bytes, plan_to_bytes, sources_of
from worker.models.batches import BatchEmbedder
from worker.nothing_new import close_without_news
from worker.plan import make_plan
from worker.prepare import Prepared, refused_where_missing
from worker.publish import Artefact, Results
from worker.reading import Reader
from worker.report import Asked, Ran, report
from worker.samples import Source
from worker.select import select
from worker.video.planning import Chunks, cut_videos
from worker.video.reading import VideoReader


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished run left behind. `selected` are sample names in pick order, `sources` their sources by key.

    `frames` has the address of each sample that is a frame of a video.
    """

    job_id: str
    result_url: str
    selected: tuple[str, ...]
    sources: dict[str, Source]
    frames: dict[str, FrameAddress]
    counts: Counts
    artefacts: tuple[Artefact, ...]
    warnings: tuple[str, ...]
    pdf_error: str | None
    nothing_new: bool = False
    """Earlier jobs have finished with every object, so nothing was done: a normal end."""

    def summary(self) -> dict[str, Any]:
        """Return the outcome as JSON values, without the names of the samples."""
        return {
            "state": "done",
            "job_id": self.job_id,
            "result_url": self.result_url,
            "counts": self.counts.model_dump(),
            "artefacts": [asdict(artefact) for artefact in self.artefacts],
            "warnings": list(self.warnings),
            "pdf_error": self.pdf_error,
            "nothing_new": self.nothing_new,
        }


def run(prepared: Prepared, events: Events, *, fresh: bool = False) -> Outcome:
    """Run a job from listing to report.

    A run of the same job that did not end is taken up where it stopped, on the listing that it froze, unless `fresh`.

    Raises:
        JobRejected: there is nothing to select from, or what the job asks for cannot be had of it.
        JobFailed: no sample could be read, or the machine cannot do it.
        StorageError: a store failed for good. What is finished stays in the output; run the job again to go on.
    """
    ledger = Ledger()
    device = prepared.on(choose_device(prepared.settings.device))
    with open_reader(prepared, device) as reader:
        made = run_until_selected(prepared, events, reader=reader, device=device, ledger=ledger, fresh=fresh)
        if isinstance(made, NothingNew):
            return _nothing_new(made)
        began = time.monotonic()
        published = report(
            made.plan,
            made.findings,
            made.results,
            ran=Ran(ledger, made.attempt, made.read_count, device, prepared.settings.prices),
            reader=reader,
            asked=Asked.by(prepared.job),
            seen=seen_set(prepared.job, prepared.source),
            events=events,
        )
        events.emit("stage_finished", stage="report", duration_s=round(time.monotonic() - began, 3))
    return Outcome(
        job_id=made.results.job_id,
        result_url=made.results.url,
        selected=made.findings.selected,
        sources=sources_of(made.plan, made.findings.keys()),
        frames=made.findings.frames,
        counts=made.findings.counts,
        artefacts=tuple(made.results.artefacts),
        warnings=published.facts.warnings,
        pdf_error=published.pdf_error,
    )


@dataclass(frozen=True, slots=True)
class NothingNew:
    """A run that ended when it was planned: earlier jobs have finished with every object."""

    results: Results
    counts: Counts


@dataclass(frozen=True, slots=True)
class Made:
    """A run with its selection made, and its report still to come."""

    plan: Plan
    findings: Findings
    results: Results
    attempt: int
    read_count: int


def run_until_selected(
    prepared: Prepared,
    events: Events,
    *,
    reader: Reader,
    device: Device,
    ledger: Ledger,
    fresh: bool = False,
) -> Made | NothingNew:
    """Plan, embed and select; `run` says what may be raised."""
    stores = (prepared.source, prepared.output)
    with ledger.stage("plan", events, *stores, device=device):
        job_id, plan = begun(prepared, events, fresh=fresh)
        prepared = prepared.under(plan.terms)
        device = prepared.on(device)
        attempt = count_attempt(prepared.output, job_id)
    results = Results(prepared.output, prepared.job.name, job_id)
    if plan.nothing_new:
        return NothingNew(results, close_without_news(results, plan, events))
    with ledger.stage("embed", events, *stores, device=device):
        read_count = _embed(prepared, plan, job_id, reader=reader, device=device, events=events)
    with ledger.stage("select", events, *stores, device=device):
        findings = select(prepared, plan, results, device=device, events=events)
    return Made(plan, findings, results, attempt, read_count)


@contextmanager
def open_reader(prepared: Prepared, device: Device) -> Iterator[Reader]:
    """Start the decoding processes, and stop them at the end."""
    with start_decoding(prepared.settings, prepared.limits, threads=device.threads) as decoding:
        yield reader_of(prepared, decoding)


def reader_of(prepared: Prepared, decoding: DecodingProcesses) -> Reader:
    """Return a reader of the job's input that decodes in these processes."""
    settings = prepared.settings
    return Reader(
        store=prepared.source,
        decoders=decoding.images,
        limits=prepared.limits,
        fetch_threads=settings.fetch_threads,
        inflight_bytes=settings.inflight_bytes,
        lookahead=max(4 * settings.batch_size, 2 * settings.fetch_threads),
        videos=VideoReader(prepared.source, decoding.videos, prepared.job.video, decoding.processes),
    )


def load_model(prepared: Prepared, device: Device) -> Embed:
    """Make the job's model ready on a device."""
    forward = prepared.embedder.load(device, prepared.weights)
    return BatchEmbedder(forward, dimension=prepared.identity.dimension)


def compute(
    prepared: Prepared,
    work: Sequence[Work],
    job_id: str,
    *,
    reader: Reader,
    model: Callable[[], Embed],
    check: Callable[[], None] = lambda: None,
) -> Iterator[ChunkDone]:
    """Compute the missing facets of chunks; `model` is called only if one of them needs it.

    `check` is called between batches, and before a facet is written; what it raises ends the work.
    """
    embedding = None
    if any(facet.kind == "embedding" for item in work for facet in item.facets):
        embedding = Embedding(
            embed=model(),
            preprocessing=prepared.identity.preprocessing,
            batch_size=prepared.settings.batch_size,
        )
    return compute_chunks(
        work, reader=reader, embedding=embedding, output=prepared.output, job_id=job_id, check=check
    )


def missing_work(
    prepared: Prepared, chunks: Sequence[Chunk], job_id: str, *, prefix: str = CHUNKS
) -> list[Work]:
    """Return those chunks that have yet to be computed, with the facets that they lack; lists `prefix` once."""
    existing = {info.key for info in prepared.output.list(prefix)}
    missing = (
        Work(chunk, missing_facets(chunk.digest, prepared.facets, existing=existing, job_id=job_id))
        for chunk in chunks
    )
    return [work for work in missing if work.facets]


def freeze(prepared: Prepared, events: Events, now: datetime) -> Plan:
    """List the input and cut it into chunks; refuse what the names alone tell to be impossible.

    Raises:
        JobRejected: no such place, nothing to select from, or what the job asks for cannot be had of it.
    """
    listing = take_in(prepared, now=now)
    if listing.passed_over:
        events.emit("passed_over", rows=listing.passed_over)
    if listing.sources:
        foresee(prepared, [source.key for source in listing.sources])
    videos = _cut_videos(prepared, listing.long_videos())
    return make_plan(
        listing,
        chunk_sources=prepared.settings.chunk_sources,
        planned_at=now.isoformat(timespec="seconds"),
        terms=prepared.terms,
        video=prepared.video_text,
        cut_video=lambda source: videos[source.key],
    )


def _cut_videos(prepared: Prepared, videos: Sequence[Source]) -> dict[str, Chunks]:
    if not videos:
        return {}
    threads = choose_device("cpu").threads
    with start_decoding(prepared.settings, prepared.limits, threads=threads) as decoding:
        return cut_videos(
            prepared.source,
            videos,
            decoding.videos,
            video=prepared.job.video,
            most_samples=4 * prepared.settings.chunk_sources,
            threads=decoding.processes,
        )


def begun(prepared: Prepared, events: Events, *, fresh: bool = False) -> tuple[str, Plan]:
    """Return the id and the plan of the run to take up, or list the input and begin one.

    Raises:
        JobRejected, JobFailed, StorageError: as `run`.
    """
    job = prepared.job
    with refused_where_missing("datasource.output"):
        job_id = unfinished_run(prepared.output, job_name=job.name, job_json=prepared.job_json)
    if job_id is not None and not fresh:
        plan = plan_from_bytes(prepared.output.get(job_key(job_id, PLAN)))
        events.emit(
            "resumed", job_id=job_id, planned_at=plan.planned_at, hint="--fresh lists the input again"
        )
        return job_id, plan
    now = datetime.now(UTC)
    plan = freeze(prepared, events, now)
    job_id = begin_run(prepared.output, job_json=prepared.job_json, plan=plan_to_bytes(plan), now=now)
    events.emit(
        "planned",
        job_id=job_id,
        sources=plan.source_count,
        chunks=len(plan.chunks),
        ignored=plan.ignored,
        earlier=plan.earlier,
        expiring=len(plan.expiring),
    )
    return job_id, plan


def _nothing_new(made: NothingNew) -> Outcome:
    results = made.results
    return Outcome(
        job_id=results.job_id,
        result_url=results.url,
        selected=(),
        sources={},
        frames={},
        counts=made.counts,
        artefacts=tuple(results.artefacts),
        warnings=(),
        pdf_error=None,
        nothing_new=True,
    )


def _embed(
    prepared: Prepared, plan: Plan, job_id: str, *, reader: Reader, device: Device, events: Events
) -> int:
    """Compute what is missing; return the number of samples that were made."""
    work = missing_work(prepared, plan.chunks, job_id)
    total = sum(len(item.chunk.sources) for item in work)
    events.emit("chunks", total=len(plan.chunks), missing=len(work), sources_to_read=total)
    done = samples = 0
    events.progress("embed", done, total)
    for finished in compute(
        prepared, work, job_id, reader=reader, model=lambda: load_model(prepared, device)
    ):
        done += len(finished.chunk.sources)
        samples += finished.samples
        events.progress("embed", done, total)
        events.emit("chunk_done", index=finished.chunk.index, skipped=finished.skipped_count)
        for key, traffic in finished.traffic:
            events.emit("video_read", source=key, **asdict(traffic))
    return samples
