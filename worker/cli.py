"""`framesift`, the command. Exit codes: 0 done, 2 job refused, 3 failed, 130 stopped."""

import json
import signal
import sys
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobs import cli as client
from jobs.cli import (
    AsJson,
    Count,
    Input,
    JobFile,
    Name,
    Output,
    Sets,
    job_of_options,
)
from jobs.errors import JobRejected
from jobs.visible import visible
from worker.datapool import commands as datapool_commands
from worker.name_lines import to_lines
from worker.terminal import err, exit_codes, out

if TYPE_CHECKING:
    from jobs.queue import QueueKind
    from jobs.spec import Job
    from worker.check import Forecast
    from worker.coreset import Coreset
    from worker.prepare import Prepared
    from worker.runner import Outcome


app = typer.Typer(
    name="framesift",
    help="Picks the samples worth labelling out of a bucket of images, and proves that the pick is good.",
    epilog="Exit codes: 0 done, 2 job refused, 3 failed, 130 stopped.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(client.app)
app.add_typer(datapool_commands.app, name="datapool")


@app.command()
def run(
    job_file: JobFile = None,
    *,
    input_: Input = None,
    output: Output = None,
    n_samples: Count = None,
    name: Name = None,
    sets: Sets = None,
    copy_selected: Annotated[
        Path | None, typer.Option(metavar="DIR", help="also copy the selected files into this folder")
    ] = None,
    fresh: Annotated[
        bool, typer.Option(help="list the input again instead of taking up an unfinished run")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a job here, without a queue. Stopped or killed, run it again: it goes on from what is finished."""
    with exit_codes():
        job = job_of_options(
            job_file, input_=input_, output=output, n_samples=n_samples, name=name, sets=sets or []
        )
        _run(job, fresh=fresh, copy_to=copy_selected, as_json=as_json)


@app.command()
def check(
    job_file: JobFile = None,
    *,
    input_: Input = None,
    output: Output = None,
    n_samples: Count = None,
    name: Name = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Validate a job, list its input and say what a run would do. Downloads nothing else."""
    with exit_codes():
        job = job_of_options(
            job_file, input_=input_, output=output, n_samples=n_samples, name=name, sets=sets or []
        )
        from worker.check import forecast

        found = forecast(_prepared(job))
        if as_json:
            out.print_json(json.dumps(asdict(found)))
            return
        for line in _forecast_lines(found):
            out.print(visible(line), markup=False)


@app.command()
def plan(
    job_file: JobFile = None,
    *,
    input_: Input = None,
    output: Output = None,
    n_samples: Count = None,
    name: Name = None,
    sets: Sets = None,
    fresh: Annotated[
        bool, typer.Option(help="list the input again instead of returning an unfinished run's plan")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Plan a job and end. `chunk` then computes its chunks, anywhere, and `run` of the same job selects and reports."""
    with exit_codes():
        job = job_of_options(
            job_file, input_=input_, output=output, n_samples=n_samples, name=name, sets=sets or []
        )
        from worker.console import watcher
        from worker.events import Events
        from worker.planned import plan_job

        prepared = _prepared(job)
        with watcher(err, as_json=as_json) as watching:
            planned = plan_job(prepared, Events(watching), fresh=fresh)
        if as_json:
            out.print_json(json.dumps(planned.as_json()))
            return
        out.print(f"plan      {planned.plan}", markup=False)
        indices = f", index 0 to {planned.chunks - 1}" if planned.chunks else ": nothing is new"
        out.print(f"chunks    {planned.chunks:,}{indices}", markup=False)


@app.command()
def chunk(
    *,
    plan: Annotated[str, typer.Option(metavar="P", help="plan.parquet of a job, a path or s3:// URL")],
    index: Annotated[int, typer.Option(metavar="I", help="which chunk, from 0")],
    connection: Annotated[str | None, typer.Option(help="named S3 connection of the plan")] = None,
) -> None:
    """Compute one chunk of a planned job: for Slurm, Kubernetes Indexed Jobs and the like. Idempotent."""
    with exit_codes():
        from worker.one_chunk import run_chunk
        from worker.settings import load_settings

        done = run_chunk(plan, index, connection=connection, settings=load_settings())
        out.print(done, markup=False)


@app.command()
def coreset(
    *,
    output: Annotated[str, typer.Option(help="folder or s3://bucket/prefix/ where the jobs wrote")],
    jobs: Annotated[str, typer.Option(metavar="ID,ID,...", help="finished jobs, each a shard of the pool")],
    n_samples: Annotated[int, typer.Option(min=1, max=100_000_000, help="how many samples to select")],
    connection: Annotated[str | None, typer.Option(help="named S3 connection of the output")] = None,
    as_json: AsJson = False,
) -> None:
    """Select by diversity among what several finished jobs selected, and bound how well that covers all of their samples."""
    with exit_codes():
        from jobs.datasource import parse_location
        from worker.coreset import select_of_jobs
        from worker.device import choose_device
        from worker.settings import load_settings
        from worker.storage.connect import connect

        settings = load_settings()
        store = connect(parse_location(output, connection=connection, at="--output"), settings)
        ids = [one.strip() for one in jobs.split(",")]
        found = select_of_jobs(
            store, ids, n_samples, settings=settings, device=choose_device(settings.device)
        )
        if as_json:
            out.print_json(json.dumps(asdict(found)))
            return
        for line in _coreset_lines(found):
            err.print(visible(line), markup=False)
        for pick in found.picks:
            sys.stdout.write(f"{pick.job}\t{to_lines([pick.sample])}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a job."""
    from jobs.spec import job_schema

    sys.stdout.write(json.dumps(job_schema(), indent=2) + "\n")


@app.command()
def demo(
    *,
    photos: Annotated[Path, typer.Option(help="folder with photos")] = Path("demo/photos"),
    output: Annotated[Path, typer.Option(help="where the result goes")] = Path("demo/output"),
    n_samples: Annotated[int, typer.Option(help="how many samples to select")] = 20,
) -> None:
    """Select from the photos that ship with the repository, and say where the report lies."""
    with exit_codes():
        job = job_of_options(
            None, input_=str(photos), output=str(output), n_samples=n_samples, name="demo", sets=[]
        )
        _run(job, fresh=False, copy_to=None, as_json=False)


@app.command()
def gc(
    output: Annotated[str, typer.Argument(help="folder or s3://bucket/prefix/ where jobs write")],
    *,
    older_than: Annotated[float, typer.Option(metavar="DAYS", min=0, max=36_500, help="age in days")] = 30.0,
    connection: Annotated[str | None, typer.Option(help="named S3 connection")] = None,
    dry_run: Annotated[bool, typer.Option(help="only say what would go")] = False,
) -> None:
    """Delete finished chunks older than DAYS that no plan of that age or younger refers to."""
    with exit_codes():
        from jobs.datasource import parse_location
        from worker.gc import sweep
        from worker.settings import load_settings
        from worker.storage.connect import connect

        location = parse_location(output, connection=connection, at="OUTPUT")
        store = connect(location, load_settings())
        swept = sweep(store, older_than=timedelta(days=older_than), dry_run=dry_run)
        verb = "would delete" if dry_run else "deleted"
        out.print(f"{verb} {swept.objects:,} objects, {swept.bytes:,} bytes; kept {swept.kept_objects:,}")


@app.command()
def worker(
    *,
    queues: Annotated[
        str, typer.Option(help="gpu: chunks and selections; cpu: plans and reports; or both, gpu,cpu")
    ] = "gpu,cpu",
    exit_when_idle: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", min=1, help="end when no step came for so long, for a Kubernetes Job"
        ),
    ] = None,
    log_level: Annotated[str, typer.Option(help="of Celery: DEBUG, INFO, WARNING, ERROR")] = "WARNING",
) -> None:
    """Work on queued jobs until SIGTERM, one process a GPU. Needs FRAMESIFT_REDIS_URL and FRAMESIFT_OUTPUTS."""
    with exit_codes():
        from worker.service import serve
        from worker.settings import load_settings

        kinds = _queue_kinds(queues)
        code = serve(load_settings(), kinds, exit_when_idle_s=exit_when_idle, log_level=log_level)
        raise typer.Exit(code)


@app.command()
def beat() -> None:
    """Find lost work and submit what schedules are due, until SIGTERM. Run one, or several for safety."""
    with exit_codes():
        import logging

        from worker.queued.beat import run_beat
        from worker.settings import load_settings

        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        run_beat(load_settings())


@app.command()
def metrics(
    *, listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="where to serve")] = "127.0.0.1:9808"
) -> None:
    """Serve metrics of the whole deployment to Prometheus, until SIGTERM. Reads Redis only."""
    with exit_codes():
        from jobs.settings import QueueSettings, read_settings
        from worker.metrics import serve_metrics

        serve_metrics(read_settings(QueueSettings), listen)


@app.command()
def version() -> None:
    """Print the version."""
    from worker import __version__

    out.print(__version__, markup=False)


def main() -> None:
    """Entry point: SIGTERM stops a run as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app()


def _queue_kinds(text: str) -> "list[QueueKind]":
    kinds: list[QueueKind] = []
    for one in text.split(","):
        match one.strip():
            case "gpu" | "cpu" as kind:
                kinds.append(kind)
            case other:
                raise JobRejected(f"--queues: should be gpu, cpu or gpu,cpu (got {other!r})")
    return kinds


def _prepared(job: "Job") -> "Prepared":
    from worker.prepare import prepare
    from worker.settings import load_settings

    return prepare(job, load_settings())


def _run(job: "Job", *, fresh: bool, copy_to: Path | None, as_json: bool) -> None:
    from worker.console import watcher
    from worker.copying import check_folder, copy_selected
    from worker.events import Events
    from worker.runner import run as run_job

    prepared = _prepared(job)
    if copy_to is not None:
        check_folder(copy_to, source=prepared.source)
    with watcher(err, as_json=as_json) as watching:
        events = Events(watching)
        outcome = run_job(prepared, events, fresh=fresh)
    _show(outcome, as_json=as_json)
    if copy_to is not None:
        copied = copy_selected(outcome, prepared, folder=copy_to, events=events)
        err.print(f"Copied {copied:,} files to {copy_to}", markup=False)


def _show(outcome: "Outcome", *, as_json: bool) -> None:
    if as_json:
        out.print_json(json.dumps(outcome.summary()))
        return
    counts = outcome.counts
    if outcome.nothing_new:
        soon = sum(counts.skipped.values())
        expiring = f", {soon:,} others expire too soon" if soon else ""
        out.print(
            f"Nothing new: earlier jobs have finished with {counts.earlier:,} objects"
            f"{expiring}. Nothing was selected.",
            markup=False,
        )
        return
    out.print(f"Selected {counts.selected:,} of {counts.pool:,} samples.", markup=False)
    written = {artefact.name for artefact in outcome.artefacts}
    for what, name in (("Report", "report.html"), ("", "report.pdf"), ("Selection", "selected.txt")):
        if name in written:
            out.print(f"{what:<10}{outcome.result_url}{name}", markup=False)
    out.print(f"{'All files':<10}{outcome.result_url}", markup=False)
    for warning in outcome.warnings:
        err.print(visible(f"Note: {warning}"), style="yellow", markup=False)
    if outcome.pdf_error:
        err.print(f"No PDF: {outcome.pdf_error}", style="yellow", markup=False)


def _coreset_lines(found: "Coreset") -> list[str]:
    return [
        *(
            f"{one.job}: {one.selected:,} selected of {one.samples:,} below {one.input}, radius {one.radius:.4f}"
            for one in found.shards
        ),
        f"{len(found.picks):,} of them cover all {sum(one.samples for one in found.shards):,} samples within"
        f" {found.radius:.4f} (measured; {found.bound:.4f} follows from the radii of the jobs alone);"
        f" no {len(found.picks):,} samples can within less than {found.lowest:.4f}",
    ]


def _forecast_lines(found: "Forecast") -> list[str]:
    lines = [
        f"input     {found.input_url}: {_kinds_of(found)}, {found.source_bytes:,} bytes",
        f"ignored   {', '.join(f'{n:,} {ext}' for ext, n in found.ignored.items()) or 'nothing'}",
        *(f"listing   {n:,} rows {why}" for why, n in found.passed_over.items()),
        *(
            [f"earlier   {found.earlier:,} objects that earlier jobs have finished with"]
            if found.earlier
            else []
        ),
        *([f"expiring  {found.expiring:,} objects, left out"] if found.expiring else []),
        *([f"datapool  up to {found.datapool:,} samples to complement"] if found.datapool else []),
        f"output    {found.output_url}",
        f"model     {found.model}",
        f"chunks    {found.chunks:,}, of which {found.chunks_done:,} are done",
        f"to read   {found.sources_to_read:,} objects, {found.bytes_to_read:,} bytes"
        + (" at most: of a video, what its samples need" if found.videos else ""),
        f"requests  about {', '.join(f'{n:,} {kind}' for kind, n in found.requests.items())}",
        f"to select {_size_of(found)}",
    ]
    for key, classes in found.classes.items():
        listed = [f"{value} {n:,}" for value, n in classes.items()]
        if found.more_values[key]:
            listed.append(f"{found.more_values[key]:,} more values")
        if found.without_value[key]:
            listed.append(f"no value {found.without_value[key]:,}")
        lines.append(f"metadata  {key}: {', '.join(listed) or 'no values'}")
    lines += [f"strategy  {text}" for text in found.strategies.values()]
    if not found.sources:
        lines.append("nothing new: a run ends at once, with an empty selection")
    if found.resumes:
        lines.append(f"resumes   {found.resumes}, which did not end; --fresh starts a new run")
    return lines


def _kinds_of(found: "Forecast") -> str:
    images = found.sources - found.videos
    if not found.videos:
        return f"{images:,} images"
    videos = f"{found.videos:,} video{'s' if found.videos > 1 else ''}"
    return f"{images:,} images and {videos}" if images else videos


def _size_of(found: "Forecast") -> str:
    if found.asked is None:
        return "a share of the samples, which are counted when videos are read"
    too_few = found.asked > found.sources and not found.videos
    return f"{found.asked:,}" + (f" (there are {found.sources:,} at most)" if too_few else "")


if __name__ == "__main__":
    main()
