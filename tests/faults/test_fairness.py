"""A job of many chunks does not starve a small one."""

from collections.abc import Callable
from pathlib import Path

from tests.deployment import deployment, wait_for_chunks, wait_until_ended
from tests.photos import make_photos
from tests.worker.runs import job

WINDOW = 4
MANY_CHUNKS = {"FRAMESIFT_WINDOW": str(WINDOW), "FRAMESIFT_CHUNK_SOURCES": "2"}


def test_small_job__ends_long_before_a_big_one_that_came_first(
    tmp_path: Path, photos: Path, record_property: Callable[[str, object], None]
) -> None:
    with deployment(tmp_path / "deployment", environment=MANY_CHUNKS) as running:
        (running.inputs / "big").symlink_to(photos)
        make_photos(running.inputs, 8, prefix="small/")
        running.worker(fault="slow=0.2,no-pdf")
        client = running.client()
        big = client.submit(job(running.inputs / "big", running.outputs / "big")).job_id
        wait_for_chunks(client, big, 1)
        before = client.status(big).chunks
        small = client.submit(job(running.inputs / "small", running.outputs / "small")).job_id
        assert wait_until_ended(client, small).state == "done"
        after = client.status(big).chunks
        assert before is not None
        assert after is not None
        record_property("chunks of the big job done while the small one ran", after.done - before.done)
        assert after.in_flight <= WINDOW
        # Each of its chunks and its selection wait behind a window of the big job's chunks, not behind them all.
        assert after.done < after.total / 2, "the small job waited for the big one"
        assert wait_until_ended(client, big).state == "done"
