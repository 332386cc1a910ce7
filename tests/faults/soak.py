"""Many small jobs through two workers that are killed at random and a Redis that hangs at random: `make soak`.

None may be lost and none done twice; what they leave behind is what a run without any trouble leaves behind.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.client import Client
from jobs.errors import QueueDown
from tests.deployment import Deployment, artefacts, deployment, tries_beyond_one, undisturbed
from tests.photos import make_photos
from tests.worker.runs import DIVERSITY, job
from worker.storage.local import LocalStore

PHOTOS = 8
SIZES = (2, 5)
"""Samples that jobs ask for, in turn; each size has one right answer."""
WORKERS = ("one", "two")
CALM_S = (4.0, 9.0)
"""Seconds between two faults, at least and at most: a killed process needs some to start again."""
PAUSE_S = 3.0
PATIENCE_S = 180.0
"""Seconds without any progress after which a job counts as lost."""


@dataclass
class Figures:
    """How it went. Times in seconds."""

    jobs: int
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    longest_standstill_s: float = 0.0
    slowest_job_s: float = 0.0
    steps: int = 0
    begun_again: int = 0

    def __str__(self) -> str:
        faults = ", ".join(f"{count} {name}" for name, count in sorted(self.faults.items()))
        return (
            f"{self.jobs} jobs in {self.seconds:.0f} s, {60 * self.jobs / self.seconds:.1f} a minute; faults: {faults};"
            f" {self.begun_again} of {self.steps} steps begun again; longest time without a step done"
            f" {self.longest_standstill_s:.1f} s, slowest job {self.slowest_job_s:.0f} s; none lost, none doubled"
        )


def soak(folder: Path, *, jobs: int, seed: int, fault: str = "") -> Figures:
    """Run so many jobs under faults that the seed decides, and check what became of each of them."""
    figures = Figures(jobs)
    # Nothing here is the fault of a step, so no number of kills may make it give up.
    with deployment(folder / "deployment", environment={"FRAMESIFT_MAX_ATTEMPTS": "50"}) as running:
        make_photos(running.inputs, PHOTOS)
        for name in WORKERS:
            running.worker(name, fault=fault)
        running.beat()
        client, began = running.client(), time.monotonic()
        ids = [client.submit(job_of(running, number)).job_id for number in range(jobs)]
        _disturb(running, client, figures, random.Random(seed), fault=fault)
        figures.seconds = time.monotonic() - began
        calm = {size: undisturbed(running.inputs, folder / f"calm-{size}", **asking(size)) for size in SIZES}
        for number, job_id in enumerate(ids):
            _check(running, client, number, job_id, calm[SIZES[number % len(SIZES)]], figures)
        known = client.list(limit=2 * jobs)
        assert sorted(one.job_id for one in known) == sorted(ids), "a job that nobody submitted"
    return figures


def asking(size: int) -> dict[str, Any]:
    """Return what makes a job ask for so many samples."""
    return {"selection": {"n_samples": size, "strategies": [DIVERSITY]}}


def output_of(running: Deployment, number: int) -> Path:
    """Return where a job writes to: each has a folder of its own, so that it finds nothing done."""
    return running.outputs / f"{number:04}"


def job_of(running: Deployment, number: int) -> dict[str, Any]:
    """Return one of the jobs."""
    return job(running.inputs, output_of(running, number), **asking(SIZES[number % len(SIZES)]))


def _disturb(
    running: Deployment, client: Client, figures: Figures, rng: random.Random, *, fault: str
) -> None:
    """Break something every few seconds until no job is left."""
    steps, moved_at = 0.0, time.monotonic()
    next_fault_at = moved_at + CALM_S[1]
    while True:
        _start_again_what_ended(running, figures, fault=fault)
        now = time.monotonic()
        try:
            left, done = client._records.active(), _steps_done(client)
        except QueueDown:
            left, done = ["unknown"], steps
        if done > steps or not left:
            figures.longest_standstill_s = max(figures.longest_standstill_s, now - moved_at)
            steps, moved_at = done, now
        if not left:
            return
        assert now - moved_at < PATIENCE_S, f"nothing moves: {_stuck(client, left)}"
        if now > next_fault_at:
            _break_something(running, figures, rng, fault=fault)
            next_fault_at = time.monotonic() + rng.uniform(*CALM_S)
        time.sleep(0.1)


def _start_again_what_ended(running: Deployment, figures: Figures, *, fault: str) -> None:
    """Do what a container's restart policy does: Celery ends where its pool process is killed while it starts."""
    for name in WORKERS:
        if running.processes[name].poll() is not None:
            running.worker(name, fault=fault)
            figures.faults["worker ended and was started again"] += 1


def _stuck(client: Client, left: list[str]) -> str:
    """Say where the jobs are that do not move."""
    return "; ".join(f"{one}: {client._records.load(one)} {client._records.flight(one)}" for one in left)


def _break_something(running: Deployment, figures: Figures, rng: random.Random, *, fault: str) -> None:
    worker = rng.choice(WORKERS)
    what = rng.choice(("pool process killed", "worker killed", "Redis paused"))
    match what:
        case "pool process killed":
            child = running.child_now(worker)  # it may work, wait, or be starting still
            if child is not None:
                os.kill(child, signal.SIGKILL)
        case "worker killed":
            running.kill(worker)
            running.worker(worker, fault=fault)
        case _:
            running.redis.pause()
            time.sleep(rng.uniform(0.5, PAUSE_S))
            running.redis.go_on()
    figures.faults[what] += 1


def _steps_done(client: Client) -> float:
    return sum(count for name, count in client._records.totals().items() if name.startswith("steps|"))


def _check(
    running: Deployment, client: Client, number: int, job_id: str, calm: dict[str, Any], figures: Figures
) -> None:
    output, status = output_of(running, number), client.status(job_id)
    assert status.state == "done", f"{job_id}: {status}"
    assert [path.name for path in (output / "night").iterdir()] == [job_id], "a result that nobody asked for"
    assert [path.name for path in (output / ".framesift" / "jobs").iterdir()] == [job_id]
    assert artefacts(LocalStore(output), job_id) == calm
    assert status.ended_at is not None
    figures.slowest_job_s = max(
        figures.slowest_job_s, (status.ended_at - status.submitted_at).total_seconds()
    )
    figures.steps += len(client._records.tries(job_id))
    figures.begun_again += tries_beyond_one(client, job_id)


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fault", default="", help="of every worker, as tests/faults/faulty.py has them")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = soak(Path(folder), jobs=given.jobs, seed=given.seed, fault=given.fault)
    sys.stdout.write(f"{figures}\n")


if __name__ == "__main__":
    main()
