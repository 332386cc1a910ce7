"""Child processes that may hang, crash or swallow memory: started when first needed, killed when they do not answer."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Condition
from time import monotonic
from typing import IO

from worker.errors import JobFailed
from worker.media.child import OUT_OF_MEMORY_STATUS
from worker.media.images import OUT_OF_MEMORY_DETAIL
from worker.media.limits import Limits
from worker.media.messages import receive, send
from worker.samples import Skipped, SkipReason

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 2.0
_SOCKET_BUFFER_BYTES = 1 << 20


def command_of(module: str) -> tuple[str, ...]:
    """Return the command of a child: the function `main` of a module of this package."""
    # -P: nothing is imported from the folder that the parent happens to run in.
    script = f"import sys; sys.path.append(sys.argv[1]); from {module} import main; main()"
    return (sys.executable, "-P", "-c", script, str(Path(__file__).parents[2]))


class Children:
    """A pool of `processes` children, each started when it is first needed.

    Memory: `limits.decode_memory_bytes` of address space a process. A process sees none of its parent's credentials: it
    gets no open files and only the variables that Python needs.
    """

    def __init__(self, processes: int, limits: Limits, command: Sequence[str]) -> None:
        self._limits = limits
        self._command = command
        self._idle: list[Child | None] = [None] * processes
        """Who has nothing to do, the latest last; None for one that is not started yet."""
        self._changed = Condition()
        # Linux kills a child when the thread that started it ends, so one thread starts them all, and stays.
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="children")

    def close(self) -> None:
        """End the idle ones; call when no other is left."""
        for child in self._idle:
            if child is not None:
                child.close(grace_s=_STOP_TIMEOUT_S)
        self._idle.clear()
        self._starter.shutdown()

    @contextmanager
    def one(self, keeps: Hashable = None) -> Iterator["Child"]:
        """Lend a child that lives, waiting for one that is free; preferably the one that keeps this.

        One that dies meanwhile, or is lent when an error passes by, is ended and replaced when needed.

        Raises:
            JobFailed: it does not start.
        """
        child = self._taken(keeps)
        healthy = False
        try:
            if child is None or not child.alive:
                child = self._replaced(child)
            yield child
            healthy = child.alive
        finally:
            if child is not None and not healthy:
                child.close()
            with self._changed:
                self._idle.append(child if healthy else None)
                self._changed.notify()

    def _taken(self, keeps: Hashable) -> "Child | None":
        def rank(child: Child | None) -> int:
            if child is None or keeps is None:
                return 0 if child is None else 1
            return 3 if child.keeps == keeps else 1 if child.keeps is None else -1

        with self._changed:
            self._changed.wait_for(lambda: bool(self._idle))
            best = max(range(len(self._idle)), key=lambda index: (rank(self._idle[index]), index))
            return self._idle.pop(best)

    def _replaced(self, dead: "Child | None") -> "Child":
        if dead is not None:
            dead.close()
        try:
            return self._started()
        except JobFailed:  # what kills one at its start may be gone a moment later
            return self._started()

    def _started(self) -> "Child":
        child = self._starter.submit(Child, self._limits, self._command).result()
        child.await_ready()
        return child


class Child:
    """One child process. Used by one thread at a time."""

    def __init__(self, limits: Limits, command: Sequence[str]) -> None:
        self.keeps: Hashable = None
        """What its user has left in it for the next time."""
        self._limits = limits
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the process
        self._connection, theirs = socket.socketpair()
        with theirs:
            for end in (self._connection, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_BYTES)
            self._process = subprocess.Popen(  # noqa: S603  # our own module
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._stderr.fileno(),
                env=_environment(),
            )

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """False once the process has ended, by itself or killed."""
        return self._process.poll() is None

    def await_ready(self) -> None:
        """Wait until the process has started up.

        Raises:
            JobFailed: it has not; the text is the last that it said.
        """
        answer = None
        try:
            if self.send(self._limits.model_dump_json().encode(), timeout_s=_START_TIMEOUT_S):
                answer = self.receive(timeout_s=_START_TIMEOUT_S)
        except TimeoutError:
            pass
        if answer is None:
            self.kill()
            words = self._last_words() or "it said nothing"
            self.close()
            raise JobFailed(f"a decoding process did not start: {words}")

    def send(self, header: bytes, *blobs: bytes | memoryview, timeout_s: float) -> bool:
        """Send a frame; False where the process is gone.

        Raises:
            TimeoutError: it does not take it.
        """
        self._connection.settimeout(timeout_s)
        try:
            send(self._connection, header, *blobs)
        except ConnectionError:
            return False
        return True

    def receive(self, *, timeout_s: float) -> tuple[bytes, bytearray] | None:
        """Return the next frame, None where the process has died.

        Raises:
            TimeoutError: none came.
        """
        return receive(self._connection, deadline=monotonic() + timeout_s)

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()

    def close(self, *, grace_s: float = 0.0) -> None:
        """End the process: by itself within `grace_s`, else killed. Safe to call again."""
        self._connection.close()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.kill()
        self._stderr.close()

    def death(self) -> Skipped:
        """Say what became of a process that has closed its end."""
        try:
            status = self._process.wait(_STOP_TIMEOUT_S)  # its end of the socket closes a little earlier
        except subprocess.TimeoutExpired:
            self.kill()
            status = self._process.returncode
        if status == OUT_OF_MEMORY_STATUS:
            return Skipped(SkipReason.OUT_OF_MEMORY, OUT_OF_MEMORY_DETAIL)
        how = f"signal {-status}" if status < 0 else f"status {status}"
        words = self._last_words()
        detail = f"the decoding process ended with {how}" + (f": {words}" if words else "")
        return Skipped(SkipReason.DECODE_CRASHED, detail)

    def _last_words(self) -> str:
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - 2000))
        lines = self._stderr.read().decode(errors="replace").split("\n")
        return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


def _environment() -> dict[str, str]:
    """Return the variables of a child: what Python and the loader need, and one thread for numpy."""
    passed = {
        name: value
        for name, value in os.environ.items()
        if name in {"PATH", "LANG", "TMPDIR"} or name.startswith(("PYTHON", "LD_", "LC_"))
    }
    return {**passed, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
