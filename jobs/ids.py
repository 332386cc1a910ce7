"""Names of jobs: made by whoever submits one, so that it is known before any worker has seen it."""

import re
from datetime import UTC, datetime
from hashlib import blake2b

_JOB_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{12}")


def digest(*parts: str) -> str:
    """Return 32 hex digits of BLAKE2b over the parts; no two different lists of parts give the same text to hash."""
    h = blake2b(digest_size=16)
    for part in parts:
        body = part.encode("utf-8", "surrogatepass")
        h.update(len(body).to_bytes(8, "big"))
        h.update(body)
    return h.hexdigest()


def job_digest(job_json: str) -> str:
    """Return the 12 hex digits in which the ids of all runs of one job end."""
    return digest(job_json)[:12]


def new_job_id(job_json: str, now: datetime) -> str:
    """Return an id that sorts by time and ends in the digest of the job's text: `20261122T041500Z-1a2b3c4d5e6f`."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{job_digest(job_json)}"


def is_job_id(text: str) -> bool:
    """Tell whether a text has the form of a job's id, so that it may become part of a key."""
    return _JOB_ID.fullmatch(text) is not None
