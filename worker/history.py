"""Which runs of a job the bucket knows: the one to take up again, and how often it was tried."""

import json
from datetime import UTC, datetime

from jobs.ids import job_digest, new_job_id
from worker.layout import JOBS, job_key, result_prefix
from worker.publish import DONE, JSON
from worker.storage.store import ObjectStore

JOB, PLAN = "job.json", "plan.parquet"
SUBMISSION = "submission.json"
"""Beside the job of a run that came through the queue: by what key, for whom, how urgent."""
FINDINGS, FAILED = "findings.json", "failed.json"
"""What a queued job's select step hands on; the chunks that were given up before it."""


def unfinished_run(store: ObjectStore, *, job_name: str, job_json: str) -> str | None:
    """Return the id of the latest run of exactly this job, if it has a plan and did not end, or None.

    Runs that came through the queue are the queue's to take up. What was begun before it is history: its listing is older than one that the user has seen the end of, or gave up.
    """
    suffix = f"-{job_digest(job_json)}/{PLAN}"
    keys = [info.key for info in store.list(JOBS)]
    ids = {key.removeprefix(JOBS).partition("/")[0] for key in keys if key.endswith(suffix)}
    queued = {key.removeprefix(JOBS).partition("/")[0] for key in keys if key.endswith(f"/{SUBMISSION}")}
    job_id = max(ids - queued, default=None)
    if job_id is None:
        return None
    ended = store.head(result_prefix(job_name, job_id) + DONE) is not None
    same = store.get(job_key(job_id, JOB)).decode() == job_json
    return job_id if same and not ended else None


def begin_run(store: ObjectStore, *, job_json: str, plan: bytes, now: datetime) -> str:
    """Make the run durable: its job, then its plan. Return its id."""
    job_id = _free_id(store, job_json, now)
    store.put(job_key(job_id, JOB), job_json.encode(), media_type=JSON)
    store.put(job_key(job_id, PLAN), plan, media_type="application/vnd.apache.parquet")
    return job_id


def count_attempt(store: ObjectStore, job_id: str) -> int:
    """Note that a run was begun or taken up again; return how often that was, 1 for the first time."""
    attempt = 1 + sum(1 for _ in store.list(job_key(job_id, "attempt-")))
    body = json.dumps({"started_at": datetime.now(UTC).isoformat()}).encode()
    store.put(job_key(job_id, f"attempt-{attempt:04}.json"), body, media_type=JSON)
    return attempt


def _free_id(store: ObjectStore, job_json: str, now: datetime) -> str:
    """Two runs of one job within a second would share an id: the later one takes the next free second."""
    job_id = new_job_id(job_json, now)
    while store.head(job_key(job_id, JOB)) is not None:
        now = datetime.fromtimestamp(now.timestamp() + 1, UTC)
        job_id = new_job_id(job_json, now)
    return job_id
