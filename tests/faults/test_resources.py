"""A disk that is full and a GPU that is: the job waits or goes in smaller steps, and ends the same."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deployment import (
    Deployment,
    artefacts,
    deployment,
    tries_beyond_one,
    wait_for,
    wait_for_chunks,
    wait_until_ended,
)
from tests.worker.runs import job
from worker.storage.local import LocalStore

Note = Callable[[str, object], None]
DISK_BYTES = 8 * 2**20


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Iterator[Deployment]:
    """One worker; its model lacks memory for more than two images at once."""
    with deployment(tmp_path_factory.mktemp("resources") / "deployment") as found:
        found.inputs.rmdir()
        found.inputs.symlink_to(photos)
        found.worker(fault="oom,slow=0.05,no-pdf")
        found.beat()
        yield found
        assert "Traceback" not in found.said("one"), found.said("one")


@pytest.fixture
def small_disk(running: Deployment) -> Iterator[Path]:
    """A file system of 8 MiB, for an output."""
    folder = running.outputs / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        reason = f"no file system can be mounted here: {mounted.stderr.strip()}"
        if os.environ.get("FRAMESIFT_TEST_NO_SKIP"):
            pytest.fail(f"{reason}, and FRAMESIFT_TEST_NO_SKIP forbids to skip")
        pytest.skip(reason)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk: Path) -> Path:
    """Leave no byte free, and return the file that takes them."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (2**16, 2**12):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return filler


def test_gpu__out_of_memory_makes_smaller_batches(running: Deployment, calm: dict[str, Any]) -> None:
    client, output = running.client(), running.outputs / "oom"
    job_id = client.submit(job(running.inputs, output)).job_id
    assert wait_until_ended(client, job_id).state == "done"
    assert artefacts(LocalStore(output), job_id) == calm
    assert tries_beyond_one(client, job_id) == 0


def test_disk__full_for_a_while(
    running: Deployment, small_disk: Path, calm: dict[str, Any], record_property: Note
) -> None:
    client = running.client()
    job_id = client.submit(job(running.inputs, small_disk)).job_id
    wait_for_chunks(client, job_id, 2)
    filler = fill(small_disk)
    wait_for(
        lambda: any("No space left" in str(event) for event in client.logs(job_id)),
        "a full disk to be noticed",
    )
    time.sleep(1)
    filler.unlink()
    freed_at = time.monotonic()
    assert wait_until_ended(client, job_id).state == "done"
    record_property("job done after the disk was freed, s", round(time.monotonic() - freed_at, 1))
    record_property("steps begun again", tries_beyond_one(client, job_id))
    assert artefacts(LocalStore(small_disk), job_id) == calm
