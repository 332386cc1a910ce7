"""Where everything lies under an output prefix. Pure names; design and guarantees are in ARCHITECTURE.md.

.framesift/chunks/<chunk>/<facet>.parquet           a finished facet of a chunk, shared by all jobs
.framesift/chunks/<chunk>/<facet>.<job id>.parquet  the same, but only true for one job (see `facet_key`)
.framesift/jobs/<job id>/                           job.json, plan.parquet, projection.npz, datapool.json; of a
                                                    queued job also submission.json, findings.json, failed.json
.framesift/schedules/<name>.json                    schedules whose jobs write here
.framesift/outputs/<digest>.json                    outputs below this one that queued jobs have used
.framesift/datapools/<name>/pool.json               what a datapool is, and its current generation
.framesift/datapools/<name>/g000001/                projection.npz, and one increment a job or removal
.framesift/seen/<set>/<job id>.parquet              what a job has finished with (see `intake/seen.py`)
<job name>/<job id>/                                what people read; done.json is written last
"""

PRIVATE = ".framesift/"
CHUNKS = f"{PRIVATE}chunks/"
JOBS = f"{PRIVATE}jobs/"
SCHEDULES = f"{PRIVATE}schedules/"
DATAPOOLS = f"{PRIVATE}datapools/"
SEEN = f"{PRIVATE}seen/"
LIGHTLY = ".lightly/"


def job_key(job_id: str, name: str = "") -> str:
    """Return the key of a working file of one job, or the job's prefix."""
    return f"{JOBS}{job_id}/{name}"


def facet_key(chunk: str, facet: str, job_id: str | None = None) -> str:
    """Return the key of a facet of a chunk.

    A read that met a fault which another day might not show (a timeout, an object that changed meanwhile) is kept
    under the job's own id: true for that job, not for the content.
    """
    owner = f".{job_id}" if job_id else ""
    return f"{CHUNKS}{chunk}/{facet}{owner}.parquet"


def datapool_key(datapool: str, name: str = "") -> str:
    """Return the key of a file of a datapool, or the datapool's prefix."""
    return f"{DATAPOOLS}{datapool}/{name}"


def seen_key(seen_set: str, job_id: str = "") -> str:
    """Return the key of what one job has finished with, or the prefix of all jobs that share a set."""
    return f"{SEEN}{seen_set}/{job_id}{'.parquet' if job_id else ''}"


def result_prefix(job_name: str, job_id: str) -> str:
    """Return the prefix of what people read."""
    return f"{job_name}/{job_id}/"
