"""One job, one or more workers: how its throughput grows with them.

    python -m benchmarks.workers [--quick]

Workers, beat and redis-server are processes of their own on this machine. `waiting` is a model that sleeps instead of
computing, so that its workers wait for something else than these cores, as workers with GPUs of their own do; `computing`
is the default model, each worker bound to one core. Images a second are those of the embed stage.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.photo_sets import DEMO, copy_photos, find_photos
from jobs.workers import living_workers
from tests.deployment import deployment, wait_for, wait_until_ended
from tests.photos import make_photos
from tests.worker.runs import job

BATCH = 4
SLEEP_S = 0.8
SETTINGS = {
    "FRAMESIFT_BATCH_SIZE": str(BATCH),
    "FRAMESIFT_CHUNK_SOURCES": "16",
    "FRAMESIFT_WINDOW": "64",
    "FRAMESIFT_LEASE_S": "30",
    "FRAMESIFT_LOST_AFTER_S": "60",
}


def main() -> None:
    """Print a table a model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=["waiting", "computing"], help="one of the two models")
    parser.add_argument("--quick", action="store_true", help="few photos, one round: whether it runs")
    asked = parser.parse_args()
    quick = asked.quick
    rounds = 1 if quick else 2
    cores = len(os.sched_getaffinity(0))
    waiting = [1, 2] if quick else [1, 2, 4, 8]
    with tempfile.TemporaryDirectory() as folder:
        if asked.only != "computing":
            photos = Path(folder) / "photos"
            make_photos(photos, 32 if quick else 192)
            sys.stdout.write(
                f"waiting: a call on {BATCH} images takes {SLEEP_S} s, so a worker does {BATCH / SLEEP_S:g} images/s at most\n"
            )
            table(photos, waiting, rounds, fault=f"slow={SLEEP_S}", model={"type": "colour_histogram"})
        if asked.only != "waiting":
            real = Path(folder) / "real"
            copy_photos(find_photos(DEMO, 32 if quick else 320), real)
            sys.stdout.write(f"\ncomputing: efficientnet_lite0, a core a worker, {cores} cores\n")
            table(real, list(range(1, cores + 1)), rounds, fault="", model={"type": "efficientnet_lite0"})


def table(photos: Path, counts: list[int], rounds: int, *, fault: str, model: dict[str, Any]) -> None:
    """Print images a second for each number of workers, and the ratio to one worker."""
    rates: dict[int, list[float]] = {count: [] for count in counts}
    for count in counts:
        for _ in range(rounds):
            rates[count].append(rate(photos, count, fault=fault, model=model))
    one = median(rates[counts[0]])
    sys.stdout.write("| workers | images/s | ratio to one |\n|---|---|---|\n")
    for count, found in rates.items():
        sys.stdout.write(f"| {count} | {median(found):.1f} | {median(found) / one:.2f} |\n")
    sys.stdout.flush()


def rate(photos: Path, count: int, *, fault: str, model: dict[str, Any]) -> float:
    """Return the images a second of one job by so many workers, all of them started and warm before it is submitted."""
    with tempfile.TemporaryDirectory() as folder:
        warm = Path(folder) / "warm"
        make_photos(warm, 16 * count)
        places = json.dumps([str(photos), str(warm)])
        with deployment(Path(folder) / "d", environment=SETTINGS | {"FRAMESIFT_INPUTS": places}) as running:
            for number in range(count):
                process = running.worker(f"w{number}", fault=fault)
                if not fault:
                    bind(process, number)
            running.beat()
            client = running.client()
            wait_for(lambda: len(living_workers(client._records)) == count, f"{count} workers")  # noqa: SLF001
            for source in (warm, photos):
                document = job(source, running.outputs, embedding={"model": model, "dimension": 8})
                status = wait_until_ended(client, client.submit(document).job_id, patience_s=600)
                if status.state != "done":
                    raise SystemExit(f"the job is {status.state}: {status.reason}")
            record = client._records.load(status.job_id)  # noqa: SLF001
            return record.read / (record.embedded_at - record.planned_at)


def bind(process: "subprocess.Popen[bytes]", core: int) -> None:
    """Keep a worker, and what it starts, on one core."""
    os.sched_setaffinity(process.pid, {sorted(os.sched_getaffinity(0))[core]})


if __name__ == "__main__":
    began = time.monotonic()
    main()
    sys.stdout.write(f"\n{time.monotonic() - began:.0f} s\n")
