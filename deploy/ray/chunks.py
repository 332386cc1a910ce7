"""Computes the chunks of a job on a Ray cluster: plans first, selects and reports at the end.

    python deploy/ray/chunks.py JOB.json [--cpus 4] [--gpus 0] [--address auto]

Each node needs `framesift` with its worker packages, the same settings (FRAMESIFT_*), and the input and output of the
job. A chunk that was computed is found again, so that a lost Ray worker, or a second start of this script, costs only
the chunks that were under way.
"""

import argparse
import json
import subprocess
import sys
from typing import Any

import ray

FRAMESIFT = [sys.executable, "-m", "worker.cli"]
TRIES = 4


def main() -> None:
    """Plan, map, select."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("job", help="JOB.json")
    parser.add_argument("--cpus", type=float, default=4, help="CPUs of one chunk")
    parser.add_argument("--gpus", type=float, default=0, help="GPUs of one chunk")
    parser.add_argument("--address", help="of a running cluster; without it one is started here")
    given = parser.parse_args()
    plan = json.loads(framesift("plan", given.job, "--json", stdout=subprocess.PIPE).stdout)
    ray.init(address=given.address)
    chunk = ray.remote(
        num_cpus=given.cpus, num_gpus=given.gpus, max_retries=TRIES - 1, retry_exceptions=True
    )(compute)
    waiting = [chunk.remote(plan["plan"], plan["connection"], index) for index in range(plan["chunks"])]
    while waiting:
        done, waiting = ray.wait(waiting)
        sys.stdout.write(f"{ray.get(done[0])}\n")
    ray.shutdown()
    framesift("run", given.job)


def framesift(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[bytes]":
    """Run the command; end as it ends, where it fails."""
    done = subprocess.run([*FRAMESIFT, *arguments], check=False, **options)  # noqa: S603  # our own command
    if done.returncode:
        raise SystemExit(done.returncode)
    return done


def compute(plan: str, connection: str | None, index: int) -> Any:
    """Do what `framesift chunk` does; a Ray worker that does it again has the libraries loaded."""
    from worker.one_chunk import run_chunk  # noqa: PLC0415  # needed on the nodes, not by the driver
    from worker.settings import load_settings  # noqa: PLC0415

    return run_chunk(plan, index, connection=connection, settings=load_settings())


if __name__ == "__main__":
    main()
