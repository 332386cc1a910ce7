"""kill -9 in the middle of a long video: what goes on repeats one chunk at most, and ends with the same frames."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.deployment import artefacts, deployment, tries_beyond_one, undisturbed, wait_for, wait_until_ended
from tests.faults.test_kill import finished, kill_when, start
from tests.worker.runs import TIMELESS, job
from worker.storage.local import LocalStore
from worker.video.segments import PLANNED_BYTES

SECONDS = 420
SEGMENTS = 7
"""One a minute, each a chunk of its own with the few samples that the tests' settings allow in one."""


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a video of seven minutes, a frame a second, that is too large to be read whole."""
    folder = tmp_path_factory.mktemp("film")
    random = np.random.default_rng(0)
    with av.open(str(folder / "film.mov"), "w") as container:
        stream = container.add_stream("mjpeg", rate=1, options={"qmin": "2", "qmax": "2", "flags": "+qscale"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuvj444p"
        for second in range(SECONDS):
            pixels = random.integers(0, 200, (240, 320, 3), np.uint8)
            pixels[..., second % 3] //= 1 + second % 7
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    assert (folder / "film.mov").stat().st_size > PLANNED_BYTES
    return folder


@pytest.fixture(scope="module")
def calm(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    return undisturbed(film, tmp_path_factory.mktemp("calm") / "out")


def test_run__killed_in_a_long_video_repeats_no_finished_chunk(
    film: Path, calm: dict[str, Any], tmp_path: Path
) -> None:
    output, document = tmp_path / "out", tmp_path / "job.json"
    document.write_text(json.dumps(job(film, output)))
    assert kill_when(output, "chunks/", 2, document)
    kept = {path: path.stat().st_mtime_ns for path in output.glob(".framesift/chunks/*/*.parquet")}
    assert len(list(output.glob(".framesift/chunks/*"))) < SEGMENTS
    again = start(document)
    assert again.wait(120) == 0, again.communicate()[1].decode()
    assert len(list(output.glob(".framesift/chunks/*"))) == SEGMENTS
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "a finished chunk was computed again"
    found = finished(output)
    assert {name: found[name] for name in TIMELESS} == {name: calm[name] for name in TIMELESS}


def test_worker__killed_in_a_long_video_costs_one_chunk_at_most(
    film: Path, calm: dict[str, Any], tmp_path: Path
) -> None:
    with deployment(tmp_path / "deployment", environment={"FRAMESIFT_WINDOW": "4"}) as running:
        running.inputs.rmdir()
        running.inputs.symlink_to(film)
        client = running.client()
        running.worker("one", fault="no-pdf")
        running.beat()
        job_id = client.submit(job(running.inputs, running.outputs)).job_id
        chunks = running.outputs / ".framesift" / "chunks"
        wait_for(lambda: len(list(chunks.glob("*"))) >= 2, "two chunks")
        running.kill("one")
        running.worker("two", fault="no-pdf")
        assert wait_until_ended(client, job_id).state == "done"
        assert tries_beyond_one(client, job_id) <= 1
        found = artefacts(LocalStore(running.outputs), job_id)
        assert {name: found[name] for name in TIMELESS} == {name: calm[name] for name in TIMELESS}
