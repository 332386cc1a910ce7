"""Plans a job and leaves the rest to others: what comes before an array job that computes its chunks."""

from dataclasses import asdict, dataclass
from typing import Any

from worker.events import Events
from worker.history import PLAN
from worker.layout import job_key
from worker.prepare import Prepared
from worker.runner import begun


@dataclass(frozen=True, slots=True)
class Planned:
    """A run whose job and plan are in the output. Chunks are numbered 0 to `chunks` - 1."""

    job_id: str
    plan: str
    """What `framesift chunk --plan` takes: a URL or a path."""
    connection: str | None
    """What `framesift chunk --connection` takes, where it is not None."""
    chunks: int
    sources: int

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def plan_job(prepared: Prepared, events: Events, *, fresh: bool = False) -> Planned:
    """Make a run durable, or find the one of this job that did not end, unless `fresh`; `run` then goes on with it.

    Raises:
        JobRejected, JobFailed, StorageError: as `runner.run`.
    """
    job_id, plan = begun(prepared, events, fresh=fresh)
    return Planned(
        job_id=job_id,
        plan=prepared.output.url + job_key(job_id, PLAN),
        connection=prepared.job.datasource.output.connection,
        chunks=len(plan.chunks),
        sources=plan.source_count,
    )
