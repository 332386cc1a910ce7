"""Where a queued job stands, as everyone is told: people, programs and the report."""

from datetime import datetime
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

State = Literal["submitted", "accepted", "running", "done", "failed", "cancelled"]
"""submitted: known to the queue only; accepted: durable, job.json is in the bucket; running: planned, and being worked on."""
Stage = Literal["plan", "embed", "select", "report"]
Priority = Literal["high", "normal", "low"]
JobDevice = Literal["any", "cuda"]

STATES: tuple[State, ...] = get_args(State)
ENDED: frozenset[State] = frozenset({"done", "failed", "cancelled"})


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class ChunkProgress(_Told):
    """How many of a job's chunks are where."""

    total: int = Field(ge=0)
    done: int = Field(ge=0)
    failed: int = Field(ge=0, description="given up after so many tries as the machine's settings allow")
    in_flight: int = Field(ge=0, description="in the queue or being computed; at most the window of a job")


class WorkerRate(_Told):
    """How fast one worker process embeds this job's images."""

    worker: str
    chunks: int
    images_per_s: float


class JobStatus(_Told):
    """One job as the queue knows it. Times are UTC, by the clock of Redis."""

    job_id: str
    name: str
    state: State
    stage: Stage | None = Field(description="what is being done; null once the job has ended")
    priority: Priority
    device: JobDevice
    idempotency_key: str | None = None
    schedule: str | None = Field(default=None, description="the schedule that submitted it")
    submitted_at: datetime
    accepted_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str | None = Field(default=None, description="why it failed or was cancelled")
    waits_for: str | None = Field(default=None, description="what keeps it from going on")
    cancelling: bool = Field(default=False, description="cancelled, and not yet stopped")
    chunks: ChunkProgress | None = Field(default=None, description="null until it is planned")
    images_read: int = 0
    images_to_read: int | None = Field(
        default=None, description="images whose chunks were not finished by an earlier job"
    )
    images_per_s: float | None = Field(
        default=None, description="all workers together, since the plan was made"
    )
    eta_s: float | None = Field(default=None, description="seconds until all chunks are done, at that rate")
    slowest: WorkerRate | None = Field(
        default=None, description="the slowest of the workers with a finished chunk"
    )
    workers: int = Field(default=0, description="worker processes that have finished a chunk of it")
    result_url: str | None = None

    @property
    def ended(self) -> bool:
        """True once nothing more will happen, unless it is retried."""
        return self.state in ENDED
