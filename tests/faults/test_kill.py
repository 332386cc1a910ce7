"""kill -9 at any time: the next run goes on, and ends the same."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.photos import make_photos
from tests.worker.runs import job, output_files

KILLS_AFTER = ("plan.parquet", "chunks/", "samples.parquet", "report.html")


def start(document: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "FRAMESIFT_CHUNK_SOURCES": "8",
        "FRAMESIFT_DECODE_PROCESSES": "1",
        "FRAMESIFT_DEVICE": "cpu",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "worker.cli", "run", str(document)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def kill_when(output: Path, part: str, seen: int, document: Path) -> bool:
    """Run the job and kill it as soon as more than `seen` files with `part` in their name exist; False if it ended."""
    process = start(document)
    deadline = time.monotonic() + 120
    while process.poll() is None:
        if sum(part in name for name in output_files(output)) > seen:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return True
        assert time.monotonic() < deadline
        time.sleep(0.002)
    assert process.returncode == 0, process.communicate()[1].decode()
    return False


def finished(output: Path) -> dict[str, object]:
    (result,) = [path.parent for path in output.glob("night/*/done.json")]
    report = json.loads((result / "report.json").read_text())
    del report["run"], report["job"]["id"], report["job"]["config"]["datasource"]
    names = ("samples.parquet", "selected.txt", "skipped.json")
    return {**{name: (result / name).read_bytes() for name in names}, "report": report}


def test_run__killed_again_and_again_ends_the_same(tmp_path: Path) -> None:
    make_photos(tmp_path / "in", 120)
    documents = {}
    for name in ("calm", "killed"):
        documents[name] = tmp_path / f"{name}.json"
        documents[name].write_text(json.dumps(job(tmp_path / "in", tmp_path / name)))
    calm = start(documents["calm"])
    assert calm.wait(120) == 0, calm.communicate()[1].decode()
    kills = 0
    kept: dict[Path, int] = {}
    for part in KILLS_AFTER:
        seen = sum(part in name for name in output_files(tmp_path / "killed")) if kills else 0
        kills += kill_when(tmp_path / "killed", part, seen, documents["killed"])
        chunks = (tmp_path / "killed").glob(".framesift/chunks/*/*.parquet")
        kept = {path: path.stat().st_mtime_ns for path in chunks} | kept
    if not list((tmp_path / "killed").glob("night/*/done.json")):
        last = start(documents["killed"])
        assert last.wait(120) == 0, last.communicate()[1].decode()
    assert kills >= 3
    assert len(list((tmp_path / "killed").glob(".framesift/jobs/*"))) == 1, "a new run was begun"
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "a finished chunk was computed again"
    assert kept
    assert finished(tmp_path / "killed") == finished(tmp_path / "calm")
