"""Where everything lies under an output prefix. Pure names; design and guarantees are in ARCHITECTURE.md.

.framesift/chunks/<chunk>/<facet>.parquet           a finished facet of a chunk, shared by all jobs
.framesift/chunks/<chunk>/<facet>.<job id>.parquet  the same, but only true for one job (see `facet_key`)
.framesift/jobs/<job id>/                           job.json, plan.parquet, projection.npz
<job name>/<job id>/                                what people read; done.json is written last
"""

from datetime import UTC, datetime
from hashlib import blake2b

PRIVATE = ".framesift/"
CHUNKS = f"{PRIVATE}chunks/"
JOBS = f"{PRIVATE}jobs/"
LIGHTLY = ".lightly/"


def digest(*parts: str) -> str:
    """Return 32 hex digits of BLAKE2b over the parts; no two different lists of parts give the same text to hash."""
    h = blake2b(digest_size=16)
    for part in parts:
        body = part.encode("utf-8", "surrogatepass")
        h.update(len(body).to_bytes(8, "big"))
        h.update(body)
    return h.hexdigest()


def new_job_id(job_json: str, now: datetime) -> str:
    """Return an id that sorts by time and ends in the digest of the job's text: `20261122T041500Z-1a2b3c4d5e6f`."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{job_digest(job_json)}"


def job_digest(job_json: str) -> str:
    """Return the 12 hex digits in which the ids of all runs of one job end."""
    return digest(job_json)[:12]


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


def result_prefix(job_name: str, job_id: str) -> str:
    """Return the prefix of what people read."""
    return f"{job_name}/{job_id}/"
