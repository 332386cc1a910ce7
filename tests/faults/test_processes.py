"""Workers that are killed or told to end: the job ends the same, and little is computed twice."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deployment import (
    Deployment,
    artefacts,
    deployment,
    tries_beyond_one,
    undisturbed,
    wait_for_chunks,
    wait_until_ended,
)
from tests.photos import make_photos
from tests.worker.runs import job
from worker.storage.local import LocalStore

PHOTOS = 96


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    make_photos(folder, PHOTOS)
    return folder


@pytest.fixture(scope="module")
def calm(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a run without any trouble leaves behind."""
    return undisturbed(photos, tmp_path_factory.mktemp("calm") / "out")


@pytest.fixture
def running(tmp_path: Path, photos: Path) -> Iterator[Deployment]:
    with deployment(tmp_path / "deployment") as found:
        found.inputs.rmdir()
        found.inputs.symlink_to(photos)
        yield found


def test_a_killed_pool_process__costs_the_chunk_that_it_worked_on(
    running: Deployment, calm: dict[str, Any]
) -> None:
    running.worker(fault="slow=0.1")
    running.beat()
    client = running.client()
    job_id = client.submit(job(running.inputs, running.outputs)).job_id
    wait_for_chunks(client, job_id, 3)
    killed_at, done = time.monotonic(), client.status(job_id).chunks
    os.kill(running.child(), signal.SIGKILL)
    wait_for_chunks(client, job_id, done.done + 1 if done else 4)
    recovered_s = time.monotonic() - killed_at
    assert wait_until_ended(client, job_id).state == "done"
    assert artefacts(LocalStore(running.outputs), job_id) == calm
    assert tries_beyond_one(client, job_id) <= 1
    assert recovered_s < 30, f"{recovered_s:.1f} s until the next chunk"
