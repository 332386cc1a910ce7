"""The client's commands: submit a job, follow it, stop it, schedule it. Exit codes: 0 done, 2 refused, 3 failed, 130 stopped."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console

from jobs.errors import JobRejected, QueueError, SettingsWrong
from jobs.lines import in_lines, in_one_line, moment, of_schedule
from jobs.status import STATES
from jobs.visible import visible

if TYPE_CHECKING:
    from jobs.client import Client
    from jobs.spec import Job
    from jobs.status import JobStatus, Priority, State

REFUSED, FAILED, STOPPED = 2, 3, 130

app = typer.Typer(pretty_exceptions_enable=False)
schedules = typer.Typer(
    help="Submit a job at the minutes that a cron expression names.", no_args_is_help=True
)
app.add_typer(schedules, name="schedule")
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

JobFile = Annotated[Path | None, typer.Argument(metavar="JOB.json", help="the job; or use the options below")]
Input = Annotated[str | None, typer.Option("--input", help="folder or s3://bucket/prefix/ to select from")]
Output = Annotated[
    str | None, typer.Option(help="folder or s3://bucket/prefix/ for results and finished chunks")
]
Count = Annotated[int | None, typer.Option("--n-samples", help="how many samples to select, by diversity")]
Name = Annotated[str | None, typer.Option(help="the job's name, a folder of the output")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="change one key of the job, e.g. embedding.dimension=64"),
]
AsJson = Annotated[bool, typer.Option("--json", help="the answer as JSON on stdout")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="the job's id, as submit and list show it")]
Urgency = Annotated[str, typer.Option(help="high, normal or low: which queue its steps wait in")]


@app.command()
def submit(
    job_file: JobFile = None,
    *,
    input_: Input = None,
    output: Output = None,
    n_samples: Count = None,
    name: Name = None,
    sets: Sets = None,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="the same key again is the same job, not another one")
    ] = None,
    priority: Urgency = "normal",
    wait: Annotated[bool, typer.Option(help="wait until it has ended; the exit code says how")] = False,
    as_json: AsJson = False,
) -> None:
    """Put a job into the queue. It is durable once `status` says accepted."""
    with exit_codes():
        job = job_of_options(
            job_file, input_=input_, output=output, n_samples=n_samples, name=name, sets=sets or []
        )
        client = _client()
        status = client.submit(job, idempotency_key=idempotency_key, priority=_priority(priority))
        if wait:
            status = _watched(client, status.job_id, as_json=as_json)
        _show(status, as_json=as_json)
        _exit_as(status if wait else None)


@app.command()
def status(
    job_id: JobId,
    *,
    watch: Annotated[
        bool, typer.Option(help="go on until the job has ended; the exit code says how")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say where a job stands: its stage, chunks done, images a second, time left, slowest worker."""
    with exit_codes():
        client = _client()
        found = _watched(client, job_id, as_json=as_json) if watch else client.status(job_id)
        _show(found, as_json=as_json)
        _exit_as(found if watch else None)


@app.command("list")
def list_jobs(
    *,
    state: Annotated[
        str | None,
        typer.Option(help="only jobs that are submitted, accepted, running, done, failed or cancelled"),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="how many at the most")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the latest jobs."""
    with exit_codes():
        jobs = _client().list(limit=limit, state=_state(state))
        if as_json:
            _print_json([one.model_dump(mode="json") for one in jobs])
            return
        if not jobs:
            err.print("no jobs", markup=False)
        for one in jobs:
            progress = f"{one.chunks.done:,}/{one.chunks.total:,} chunks" if one.chunks else ""
            facts = (one.job_id, f"{one.state:<9}", f"{one.stage or '':<6}", f"{progress:<16}", one.name)
            out.print(visible("  ".join(facts).rstrip()), markup=False)


@app.command()
def cancel(
    job_id: JobId,
    *,
    reason: Annotated[str, typer.Option(help="kept with the job")] = "",
    as_json: AsJson = False,
) -> None:
    """Stop a job between two batches. Finished chunks stay; `retry` takes it up again."""
    with exit_codes():
        _show(_client().cancel(job_id, reason=reason), as_json=as_json)


@app.command()
def retry(job_id: JobId, *, as_json: AsJson = False) -> None:
    """Take a failed or cancelled job up again; finished chunks are not computed again."""
    with exit_codes():
        _show(_client().retry(job_id), as_json=as_json)


@app.command()
def logs(
    job_id: JobId,
    *,
    follow: Annotated[bool, typer.Option(help="go on until the job has ended")] = False,
) -> None:
    """Print what happened to a job, one JSON object a line, as log.jsonl has it."""
    with exit_codes():
        client = _client()
        shown = 0
        while True:
            ended = client.status(job_id).ended
            events = client.logs(job_id, start=shown)
            for event in events:
                sys.stdout.write(json.dumps(event) + "\n")
            sys.stdout.flush()
            shown += len(events)
            if ended or not follow:
                return
            time.sleep(1.0)


@schedules.command("add")
def add_schedule(
    name: Annotated[str, typer.Argument(help="the schedule's name; an existing one is replaced")],
    job_file: Annotated[Path, typer.Argument(metavar="JOB.json")],
    *,
    cron: Annotated[str, typer.Option(help="minute, hour, day, month, weekday, e.g. '0 2 * * *'")],
    timezone: Annotated[str, typer.Option(help="where the clock hangs, e.g. Europe/Berlin")] = "UTC",
    priority: Urgency = "normal",
) -> None:
    """Submit a job again and again. With `datasource.process: new` each run reads only what is new."""
    with exit_codes():
        schedule = _client().add_schedule(
            name, cron=cron, timezone=timezone, job=_read(job_file), priority=_priority(priority)
        )
        out.print(f"{name}: next at {moment(schedule.next_tick(datetime.now(UTC)))}", markup=False)


@schedules.command("list")
def list_schedules(*, as_json: AsJson = False) -> None:
    """List the schedules, when each is due next and what became of it last."""
    with exit_codes():
        found = _client().schedules.all()
        if as_json:
            _print_json([one.model_dump(mode="json") for one in found])
            return
        if not found:
            err.print("no schedules", markup=False)
        for one in found:
            out.print(visible(of_schedule(one)), markup=False)


@schedules.command("remove")
def remove_schedule(name: Annotated[str, typer.Argument(help="the schedule's name")]) -> None:
    """Remove a schedule; its jobs and their results stay."""
    with exit_codes():
        _client().schedules.remove(name)


@schedules.command("run-now")
def run_schedule_now(
    name: Annotated[str, typer.Argument(help="the schedule's name")], *, as_json: AsJson = False
) -> None:
    """Submit a schedule's job now, besides its times."""
    with exit_codes():
        _show(_client().run_now(name), as_json=as_json)


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn what can go wrong on the way to the queue into one line and an exit code."""
    try:
        yield
    except JobRejected as error:
        raise stop(f"refused: {error}", REFUSED) from error
    except KeyboardInterrupt as error:
        raise stop("stopped; the job goes on", STOPPED) from error
    except (QueueError, SettingsWrong, OSError) as error:
        raise stop(f"failed: {error}", FAILED) from error


def stop(text: str, code: int) -> typer.Exit:
    """Print why, and return what ends the command with this code."""
    err.print(visible(text), style="red" if code != STOPPED else "yellow", markup=False)
    return typer.Exit(code)


def job_of_options(
    job_file: Path | None,
    *,
    input_: str | None,
    output: str | None,
    n_samples: int | None,
    name: str | None,
    sets: list[str],
) -> "Job":
    """Return the job that a file and the options describe; what was put right in it is said on stderr.

    Raises:
        JobRejected: it is wrong, or cannot be read.
    """
    from jobs.job_options import job_document
    from jobs.spec import parse_job_with_warnings

    options = {
        "datasource.input": input_,
        "datasource.output": output,
        "selection.n_samples": n_samples,
        "name": name,
    }
    given = {key: value for key, value in options.items() if value is not None}
    text = None if job_file is None else _read(job_file)
    parsed = parse_job_with_warnings(job_document(text, options=given, assignments=sets))
    for warning in parsed.warnings:
        err.print(visible(f"warning: {warning}"), style="yellow", markup=False)
    return parsed.job


def _client() -> "Client":
    from jobs.client import Client

    return Client()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise JobRejected(f"JOB.json: cannot read {path}: {error.strerror}") from error


def _watched(client: "Client", job_id: str, *, as_json: bool) -> "JobStatus":
    """Show a job on stderr until it has ended; return how it did."""
    last = ""
    latest = client.status(job_id)
    with err.status("") as shown:
        for latest in client.watch(job_id):
            line = visible(in_one_line(latest))
            shown.update(line)
            if not err.is_terminal and not as_json and line != last:
                err.print(line, markup=False)
            last = line
    return latest


def _show(status: "JobStatus", *, as_json: bool) -> None:
    if as_json:
        _print_json(status.model_dump(mode="json"))
        return
    for line in in_lines(status):
        out.print(visible(line), markup=False)


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def _exit_as(status: "JobStatus | None") -> None:
    if status is not None and status.state != "done":
        raise typer.Exit(STOPPED if status.state == "cancelled" else FAILED)


def _priority(text: str) -> "Priority":
    if text not in {"high", "normal", "low"}:
        raise JobRejected(f"--priority: should be one of high, normal, low (got {text!r})")
    return cast("Priority", text)


def _state(text: str | None) -> "State | None":
    if text is not None and text not in STATES:
        raise JobRejected(f"--state: should be one of {', '.join(STATES)} (got {text!r})")
    return text
