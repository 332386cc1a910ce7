"""The report step: fetch the pictures, render, upload, and write done.json last."""

import platform
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Self

from jobs.spec import SelectionJob
from worker import __version__
from worker.device import Device
from worker.events import Events
from worker.facts import Facts, RunFacts, StageTime
from worker.findings import Findings
from worker.frame_images import FOLDER, read_frames, write_frames
from worker.intake.seen import remember
from worker.ledger import Ledger, Meter, requests_of
from worker.manifest import Plan, sources_of
from worker.media.images import DecodeRequest, ImageFormat
from worker.publish import Results
from worker.reading import Reader, Wanted
from worker.rendering.lightly_v2 import lightly_v2
from worker.rendering.pages import render_html
from worker.rendering.pdf import PdfFailed, render_pdf
from worker.samples import Decoded
from worker.settings import Prices

PICTURE_PX = 256
LIBRARIES = ("torch", "onnxruntime", "timm", "numpy", "pillow", "pyarrow", "weasyprint")


@dataclass(frozen=True, slots=True)
class Ran:
    """What the steps before took, how often they were tried, and how many sources were read now."""

    ledger: Ledger
    attempt: int
    read_count: int
    device: Device
    prices: Prices


@dataclass(frozen=True, slots=True)
class Asked:
    """What a job wants to see: pictures in the report (none, blur or thumb), and selected frames as files, or None."""

    images: str
    image_format: ImageFormat | None

    @classmethod
    def by(cls, job: SelectionJob) -> Self:
        """Return what a job asks for."""
        return cls(job.report.images, job.video.output_image_format)


@dataclass(frozen=True, slots=True)
class Published:
    """The report that was written, and why there is no PDF, if there is none."""

    facts: Facts
    pdf_error: str | None


def report(
    plan: Plan,
    findings: Findings,
    results: Results,
    *,
    ran: Ran,
    reader: Reader,
    asked: Asked,
    seen: str,
    events: Events,
    log: Callable[[], bytes] | None = None,
) -> Published:
    """Write report.html, report.pdf, report.json (and as LightlyOne has it), log.jsonl and, last, done.json.

    `seen` names the set of objects that jobs have finished with, to which this one's are added just before done.json. `log`
    gives log.jsonl; without it, `events` does, which have seen this process only.

    A PDF that cannot be made costs only itself: the reason is in done.json and in the log.

    Raises:
        StorageError: an artefact could not be written.
    """
    meter = Meter(reader.store, results.store, device=ran.device)
    facts = Facts.of(findings.content, _run_facts(ran))
    pictures = _pictures(findings, plan, reader, images=asked.images)
    html = render_html(facts, pictures)
    results.put("report.html", html.encode(), media_type="text/html; charset=utf-8")
    pdf_error = None
    try:
        results.put("report.pdf", render_pdf(html), media_type="application/pdf")
    except PdfFailed as failure:
        pdf_error = str(failure)
        events.emit("pdf_failed", level="warning", text=f"report.pdf could not be made: {failure}")
    if asked.image_format is not None:
        _write_frames(findings, plan, reader, results, image_format=asked.image_format, events=events)
    results.put_json("report_v2.json", lightly_v2(facts))
    results.put("report.json", facts.model_dump_json(indent=1).encode(), media_type="application/json")
    results.put("log.jsonl", log() if log else events.log(), media_type="application/x-ndjson")
    remember(results, plan, seen)
    ran.ledger.add("report", meter.spent())
    results.close(
        "done",
        counts=facts.counts.model_dump(),
        pdf_error=pdf_error,
        run=_run_in_full(facts.run, ran.ledger),
        ledger=ran.ledger.to_json(ran.prices),
    )
    return Published(facts, pdf_error)


def _pictures(findings: Findings, plan: Plan, reader: Reader, *, images: str) -> dict[str, bytes]:
    """Read the sources of the pictures that the report shows, once more, as JPEG thumbnails."""
    if images == "none":
        return {}
    names = findings.content.analysis.pictured()
    request = DecodeRequest(thumbnail_px=PICTURE_PX, blur=images == "blur")
    sources = sources_of(plan, [name for name in names if name not in findings.frames]).values()
    reads = reader.read(Wanted(source, request, None) for source in sources)
    found = {read.source.key: read.result for read in reads}
    found |= read_frames(
        names,
        findings.frames,
        sources=sources_of(plan, findings.keys()),
        videos=reader.videos,
        request=request,
    )
    return {
        name: result.thumbnail
        for name, result in found.items()
        if isinstance(result, Decoded) and result.thumbnail is not None
    }


def _write_frames(
    findings: Findings,
    plan: Plan,
    reader: Reader,
    results: Results,
    *,
    image_format: ImageFormat,
    events: Events,
) -> None:
    written, failed = write_frames(
        findings.selected,
        findings.frames,
        image_format=image_format,
        sources=sources_of(plan, findings.keys()),
        videos=reader.videos,
        results=results,
    )
    events.emit("frames_written", count=written, folder=results.url + FOLDER)
    for text in failed:
        events.emit("frame_not_written", level="warning", text=text)


def _run_facts(ran: Ran) -> RunFacts:
    ledger, total = ran.ledger, ran.ledger.total
    embed_s = ledger.durations.get("embed", 0.0)
    return RunFacts(
        started_at=ledger.started_at,
        finished_at=datetime.now(UTC),
        stages=tuple(StageTime(name=name, duration_s=seconds) for name, seconds in ledger.durations.items()),
        images_per_s=ran.read_count / embed_s if ran.read_count and embed_s else None,
        requests=requests_of(total),
        bytes_read=int(total.get("bytes_read", 0)),
        bytes_written=int(total.get("bytes_written", 0)),
        device=ran.device.label,
        host=socket.gethostname(),
        versions={"framesift": __version__, "python": platform.python_version(), **_versions()},
        attempts=ran.attempt,
    )


def _versions() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}


def _run_in_full(run: RunFacts, ledger: Ledger) -> dict[str, Any]:
    """Return the run with the stage that its report could not show, since it was being drawn."""
    now, total = datetime.now(UTC), ledger.total
    drawing = StageTime(name="report", duration_s=(now - run.finished_at).total_seconds())
    whole = run.model_copy(
        update={
            "finished_at": now,
            "stages": (*run.stages, drawing),
            "requests": requests_of(total),
            "bytes_read": int(total.get("bytes_read", 0)),
            "bytes_written": int(total.get("bytes_written", 0)),
        }
    )
    return whole.model_dump(mode="json")
