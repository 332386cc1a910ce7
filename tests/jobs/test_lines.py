from datetime import UTC, datetime

from jobs.lines import in_lines, in_one_line
from jobs.status import ChunkProgress, JobStatus, WorkerRate

AT = datetime(2026, 11, 20, 2, tzinfo=UTC)


def status(**facts: object) -> JobStatus:
    given = {
        "job_id": "20261120T020000Z-0123456789ab",
        "name": "night",
        "state": "running",
        "stage": "embed",
        "priority": "normal",
        "device": "any",
        "submitted_at": AT,
        "chunks": ChunkProgress(total=1200, done=300, failed=1, in_flight=16),
        "images_read": 76_800,
        "images_to_read": 307_200,
        "images_per_s": 64.0,
        "eta_s": 3600.0,
        "slowest": WorkerRate(worker="b:1", chunks=20, images_per_s=11.25),
        "workers": 4,
    }
    return JobStatus.model_validate(given | facts)


def test_in_one_line() -> None:
    assert (
        in_one_line(status()) == "embed, 300 of 1,200 chunks, 1 failed, 64.0 sources/s by 4, 1 h 0 min left"
    )
    waiting = status(
        state="submitted", stage="plan", chunks=None, eta_s=None, waits_for="a worker with a GPU"
    )
    assert in_one_line(waiting) == "submitted, waits for a worker with a GPU"
    done = status(state="done", stage=None, eta_s=None)
    assert in_one_line(done) == "done, 300 of 1,200 chunks, 1 failed"


def test_in_lines__tells_what_is_known_and_nothing_else() -> None:
    told = in_lines(status())
    assert "slowest    b:1, 11.2 sources/s" in told
    assert "chunks     300 of 1,200 done, 16 in flight, 1 failed" in told
    assert "left       1 h 0 min" in told
    assert not [line for line in told if line.startswith(("results", "why", "ended", "key"))]
    failed = in_lines(status(state="failed", stage=None, reason="no such bucket", result_url="s3://out/x/"))
    assert "why        no such bucket" in failed
    assert not [line for line in failed if line.startswith("results")]
