"""The worker as a service: Celery's worker with this deployment's queues, a sign of life, and an end when idle."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from celery import bootsteps
from celery.worker import state

from jobs.errors import JobRejected, QueueDown
from jobs.queue import QueueKind, connect, served
from jobs.records import Records
from jobs.workers import Worker, tell_alive, tell_gone
from worker import __version__
from worker.device import choose_device
from worker.queued.messages import CheckedMessages
from worker.settings import Settings
from worker.tasks import worker_app, worker_name

CHOICES: tuple[QueueKind, ...] = ("cpu", "gpu")
SIGN_EVERY_S = 5.0
WEDGED_S = 300.0
"""Seconds without a turn of the worker's loop, while Redis answers, after which it no longer counts as alive."""

_LOOK_FOR_GPUS = (
    "from worker.device import choose_device, gpu_count; from worker.settings import load_settings;"
    "device = choose_device(load_settings().device); print(gpu_count() if device.is_cuda else 0, device.label, sep='\\t')"
)

logger = logging.getLogger(__name__)


def serve(
    settings: Settings, kinds: Sequence[QueueKind], *, exit_when_idle_s: float | None, log_level: str
) -> int:
    """Work until told to end, or until no step came for `exit_when_idle_s`; return the exit code.

    SIGTERM lets the step under way go on for `soft_shutdown_s`, then hands it back to the queue. There is one process
    a GPU, or one on a machine without.

    Raises:
        JobRejected: no output that jobs may write to is set.
    """
    if not settings.outputs:
        raise JobRejected("FRAMESIFT_OUTPUTS: not set; it names the places that queued jobs may write to")
    # Celery reads this when its worker is imported: SIGTERM is to be its soft shutdown, not a wait for hours.
    os.environ["REMAP_SIGTERM"] = "SIGQUIT"
    os.environ.setdefault("FRAMESIFT_WORKER_NAME", f"{socket.gethostname()}-{os.getpid()}")
    gpus, label = _gpus(settings)
    taken = list(kinds)
    if gpus and "gpu" in kinds:
        taken.append("cuda")
    about = Worker(
        name=worker_name(),
        host=socket.gethostname(),
        queues=tuple(served(taken)),
        device=label,
        cuda=gpus > 0,
        processes=max(1, gpus),
        version=__version__,
    )
    logging.getLogger("celery.worker.request").addFilter(_in_one_line)
    app = worker_app(settings)
    app.steps["worker"].add(_turns(loop := _Loop()))
    app.steps["consumer"].add(CheckedMessages)
    sign = _Sign(settings, about, loop, exit_when_idle_s)
    with sign:
        worker = app.Worker(
            hostname=f"framesift@{about.name}",
            queues=list(about.queues),
            concurrency=about.processes,
            loglevel=log_level,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
        )
        worker.start()
    return int(worker.exitcode or 0)


def _in_one_line(record: logging.LogRecord) -> bool:
    """Take the stack off the news that a pool's process was killed: it shows Celery's own lines, and hides the news."""
    if record.exc_info and "WorkerLostError" in record.getMessage():
        record.exc_info = None
    return True


class _Loop:
    """When the worker's loop last turned."""

    def __init__(self) -> None:
        self.turned_at = time.monotonic()

    def turn(self) -> None:
        self.turned_at = time.monotonic()


def _turns(loop: _Loop) -> type[bootsteps.StartStopStep]:
    """Return the part of Celery's worker that lets its timer note each turn of its loop."""

    class Turns(bootsteps.StartStopStep):  # type: ignore[misc]  # untyped
        requires = ("celery.worker.components:Timer",)

        def __init__(self, parent: Any, **options: Any) -> None:
            super().__init__(parent, **options)
            self._timer: Any = None

        def start(self, parent: Any) -> None:
            self._timer = parent.timer.call_repeatedly(SIGN_EVERY_S, loop.turn)

        def stop(self, parent: Any) -> None:
            del parent
            if self._timer is not None:
                self._timer.cancel()

    return Turns


class _Sign:
    """A thread that says every few seconds that the worker lives: to the queue, and to the machine by a file's time.

    It goes on saying so while Redis is away: to start a worker anew would not bring Redis back.
    """

    def __init__(
        self, settings: Settings, about: Worker, loop: _Loop, exit_when_idle_s: float | None
    ) -> None:
        self._settings = settings
        self._about = about
        self._loop = loop
        self._exit_when_idle_s = exit_when_idle_s
        self._records = Records(connect(settings), settings.redis_prefix)
        self._ended = threading.Event()
        self._busy_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="sign of life", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        with suppress(QueueDown):
            tell_gone(self._records, self._about.name)

    def _run(self) -> None:
        while True:
            reached = self._tell()
            wedged = reached and time.monotonic() - self._loop.turned_at > WEDGED_S
            if self._settings.health_file is not None and not wedged:
                touch(self._settings.health_file)
            if state.active_requests or state.reserved_requests:
                self._busy_at = time.monotonic()
            elif (
                self._exit_when_idle_s is not None
                and time.monotonic() - self._busy_at > self._exit_when_idle_s
                and not self._ended.is_set()
            ):
                logger.warning("no step came for %g s: this worker ends", self._exit_when_idle_s)
                os.kill(os.getpid(), signal.SIGTERM)
                self._exit_when_idle_s = None
            if self._ended.wait(min(SIGN_EVERY_S, (self._exit_when_idle_s or SIGN_EVERY_S) / 2)):
                return

    def _tell(self) -> bool:
        try:
            tell_alive(self._records, self._about)
        except QueueDown:
            return False
        return True


def touch(file: Path) -> None:
    """Set a file's time to now; a file that cannot be written shows by its old time."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def _gpus(settings: Settings) -> tuple[int, str]:
    """Return how many GPUs there are and what steps run on, found in a process of its own: this one never needs torch."""
    if settings.device == "cpu":
        return 0, choose_device("cpu").label
    found = subprocess.run(  # noqa: S603  # our own code
        [sys.executable, "-c", _LOOK_FOR_GPUS], capture_output=True, text=True, check=False
    )
    if found.returncode:
        raise JobRejected(
            f"FRAMESIFT_DEVICE: {(found.stderr.strip().splitlines() or ['torch does not start'])[-1]}"
        )
    count, _, label = found.stdout.strip().splitlines()[-1].partition("\t")
    return int(count), label
