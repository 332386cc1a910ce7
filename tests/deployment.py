"""A whole deployment on this machine: redis-server, workers and a beat as processes of their own, impatient ones."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.client import Client
from jobs.status import JobStatus
from tests.redis_server import RedisServer, redis_server
from tests.worker.runs import TIMELESS, job, run_job
from worker.layout import result_prefix
from worker.storage.store import ObjectStore

REPOSITORY = Path(__file__).parents[1]
PATIENCE_S = 90.0
LOST_AFTER_S = 2.0
LEASE_S = 2.0


@dataclass
class Deployment:
    """What runs, and how to start, stop and kill parts of it. `environment` is every process's settings."""

    folder: Path
    redis: RedisServer
    environment: dict[str, str]
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def inputs(self) -> Path:
        """Folder that jobs may read."""
        return self.folder / "in"

    @property
    def outputs(self) -> Path:
        """Folder that jobs may write to."""
        return self.folder / "out"

    def client(self) -> Client:
        """Return a client of its queue."""
        return Client.to(self.redis.url)

    def worker(
        self,
        name: str = "one",
        *,
        fault: str = "",
        queues: str = "gpu,cpu",
        log_level: str = "WARNING",
        **settings: object,
    ) -> "subprocess.Popen[bytes]":
        """Start a worker; with a fault of tests/faults/faulty.py, where one is named."""
        module = "tests.faults.faulty" if fault else "worker.cli"
        more = {"FRAMESIFT_WORKER_NAME": name, "FRAMESIFT_TEST_FAULT": fault} | _settings(settings)
        return self._start(name, [module, "worker", "--queues", queues, "--log-level", log_level], more)

    def beat(self, name: str = "beat", **settings: object) -> "subprocess.Popen[bytes]":
        """Start a beat."""
        return self._start(name, ["worker.cli", "beat"], _settings(settings))

    def child(self, name: str = "one") -> int:
        """Return the process id of a worker's only pool process, once it is there."""
        return wait_for(lambda: self.child_now(name), "a pool process")

    def child_now(self, name: str = "one") -> int | None:
        """Return it if it is there."""
        try:
            parent = self.processes[name].pid
            pids = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
            pool = [int(pid) for pid in pids if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        except OSError:  # one of them has just ended
            return None
        return pool[-1] if pool else None

    def kill(self, name: str) -> None:
        """kill -9 a process; what it leaves behind is not touched."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def stop(self, name: str) -> int:
        """SIGTERM a process and return its exit code."""
        process = self.processes.pop(name)
        process.terminate()
        return process.wait(60)

    def gather(self) -> set[int]:
        """Return the ids of all processes that belong to it, children and grandchildren too, but for redis-server."""
        mark = f"TMPDIR={self.folder}/tmp".encode()
        return {pid for pid in _all_pids() if mark in _environment_of(pid)}

    def said(self, name: str) -> str:
        """Return what a process has written to its output and log so far."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def close(self) -> None:
        """kill -9 what was started; what that had started ends by itself, or it is a fault."""
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
        self.processes.clear()
        try:
            wait_for(lambda: not self.gather(), "the processes of killed workers to end", patience_s=30)
        finally:
            for pid in self.gather():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _start(self, name: str, command: list[str], more: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=REPOSITORY,
                env={**os.environ, **self.environment, **more},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self.processes[name]


@contextmanager
def deployment(folder: Path, *, environment: Mapping[str, str] | None = None) -> Iterator[Deployment]:
    """Give a deployment with a redis-server; workers and beats are started by the test, and ended here."""
    for name in ("in", "out", "redis", "tmp"):
        (folder / name).mkdir(parents=True)
    with redis_server(folder / "redis") as redis:
        settings = {
            "FRAMESIFT_REDIS_URL": redis.url,
            "FRAMESIFT_OUTPUTS": json.dumps([str(folder / "out")]),
            "FRAMESIFT_INPUTS": json.dumps([str(folder / "in")]),
            "FRAMESIFT_DEVICE": "cpu",
            "FRAMESIFT_CHUNK_SOURCES": "8",
            "FRAMESIFT_BATCH_SIZE": "4",
            "FRAMESIFT_DECODE_PROCESSES": "1",
            "FRAMESIFT_FETCH_THREADS": "4",
            "FRAMESIFT_LEASE_S": str(LEASE_S),
            "FRAMESIFT_LOST_AFTER_S": str(LOST_AFTER_S),
            "FRAMESIFT_RECONCILE_EVERY_S": "0.5",
            "FRAMESIFT_SOFT_SHUTDOWN_S": "3",
            "OMP_NUM_THREADS": "1",
            "TMPDIR": str(folder / "tmp"),
        }
        running = Deployment(folder, redis, {**settings, **(environment or {})})
        try:
            yield running
        finally:
            running.close()


def wait_for(look: Callable[[], Any], what: str, *, patience_s: float = PATIENCE_S) -> Any:
    """Look until there is something, and return it."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {patience_s:.0f} s for {what}")


def wait_until_ended(client: Client, job_id: str, *, patience_s: float = PATIENCE_S) -> JobStatus:
    """Wait until a job has ended and return how."""
    status: JobStatus = wait_for(
        lambda: (found := client.status(job_id)).ended and found, f"{job_id} to end", patience_s=patience_s
    )
    return status


def wait_for_chunks(client: Client, job_id: str, count: int) -> None:
    """Wait until so many chunks of a job are done."""

    def enough() -> bool:
        chunks = client.status(job_id).chunks
        return chunks is not None and chunks.done >= count

    wait_for(enough, f"{count} chunks of {job_id}")


def tries_beyond_one(client: Client, job_id: str) -> int:
    """Return how often steps of a job were begun again."""
    return sum(count - 1 for step, count in client._records.tries(job_id).items() if "outage" not in step)


def artefacts(store: ObjectStore, job_id: str, *, name: str = "night") -> dict[str, Any]:
    """Return what must not depend on when, where, by whom and how often interrupted a job was done."""
    prefix = result_prefix(name, job_id)
    report = json.loads(store.get(f"{prefix}report.json"))
    del report["run"], report["job"]["id"], report["job"]["config"]["datasource"]
    found: dict[str, Any] = {one: store.get(prefix + one) for one in TIMELESS}
    done = json.loads(store.get(f"{prefix}done.json"))
    assert done["state"] == "done"
    for artefact in done["artefacts"]:
        assert len(store.get(prefix + artefact["name"])) == artefact["bytes"], artefact["name"]
    return found | {"report": report}


def apart_from_skipped(found: dict[str, Any]) -> dict[str, Any]:
    """Return those artefacts that say nothing of what was left out."""
    told = {name: found["report"][name] for name in ("embedding", "strategies", "analysis")}
    return {"samples": found["samples.parquet"], "selected": found["selected.txt"], "report": told}


def skipped(found: dict[str, Any]) -> dict[str, str]:
    """Return the lines of skipped.json: source and reason."""
    return {line["source"]: line["reason"] for line in json.loads(found["skipped.json"])}


def undisturbed(source: object, output: Path, **changes: Any) -> dict[str, Any]:
    """Return the artefacts of the same job, run in this process."""
    from worker.storage.local import LocalStore

    outcome = run_job(job(source, output, **changes))
    return artefacts(LocalStore(output), outcome.job_id)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def resident_bytes(pid: int) -> int:
    """Return the memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _all_pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def _environment_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes() if is_alive(pid) else b""
    except OSError:
        return b""


def _settings(given: Mapping[str, object]) -> dict[str, str]:
    return {f"FRAMESIFT_{name.upper()}": str(value) for name, value in given.items()}
