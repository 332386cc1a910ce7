"""Computes one chunk of a planned job: what an array job, whatever scheduler runs it, calls with its index."""

from functools import partial

from jobs.datasource import parse_location
from jobs.spec import parse_job
from worker.device import choose_device
from worker.errors import JobRejected, StorageError
from worker.history import JOB, PLAN
from worker.layout import CHUNKS, JOBS, job_key
from worker.manifest import chunk_count, plan_from_bytes
from worker.prepare import prepare
from worker.runner import compute, load_model, missing_work, open_reader
from worker.settings import Settings
from worker.storage.connect import connect


def run_chunk(plan_url: str, index: int, *, connection: str | None, settings: Settings) -> str:
    """Compute what chunk `index` lacks; return a line that says what was done. Running it again changes nothing.

    Raises:
        JobRejected: no such plan or chunk. JobFailed, StorageError: as `runner.run`.
    """
    root, found, rest = plan_url.rpartition(JOBS)
    job_id, slash, name = rest.partition("/")
    if not found or not slash or name != PLAN:
        raise JobRejected(f"--plan: {plan_url!r} should be <output>/{JOBS}<job id>/{PLAN}")
    store = connect(parse_location(root or ".", connection=connection, at="--plan"), settings)
    try:
        body = store.get(job_key(job_id, PLAN))
        plan = plan_from_bytes(body, only=index)  # a plan may be much larger than any of its chunks
        job = parse_job(store.get(job_key(job_id, JOB)))
    except StorageError as error:
        raise JobRejected(f"--plan: {error}") from error
    if not plan.chunks:
        raise JobRejected(
            f"--index: {index} is not among the chunks of this plan; choose 0 to {chunk_count(body) - 1}"
        )
    prepared = prepare(job, settings, terms=plan.terms)
    (chunk,) = plan.chunks
    work = missing_work(prepared, [chunk], job_id, prefix=f"{CHUNKS}{chunk.digest}/")
    if not work:
        return f"chunk {index}: already done"
    device = prepared.on(choose_device(settings.device))
    with open_reader(prepared, device) as reader:
        model = partial(load_model, prepared, device)
        done = list(compute(prepared, work, job_id, reader=reader, model=model))
    return f"chunk {index}: {len(chunk.sources)} sources, {done[0].skipped_count} skipped, on {device.label}"
