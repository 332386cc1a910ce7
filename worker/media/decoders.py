"""Decoding in child processes, so that an image that hangs, crashes or swallows memory costs itself alone."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from queue import LifoQueue
from time import monotonic
from types import TracebackType
from typing import IO, Self

from worker.errors import JobFailed
from worker.media.child import OUT_OF_MEMORY_STATUS
from worker.media.frames import receive, send, unpacked
from worker.media.images import OUT_OF_MEMORY_DETAIL, DecodeRequest
from worker.media.limits import Limits
from worker.samples import Decoded, Skipped, SkipReason

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 2.0
_SOCKET_BUFFER_BYTES = 1 << 20

# -P: nothing is imported from the folder that the parent happens to run in.
_COMMAND = (
    sys.executable,
    "-P",
    "-c",
    "import sys; sys.path.append(sys.argv[1]); from worker.media.child import main; main()",
    str(Path(__file__).parents[2]),
)


class Decoders:
    """A pool of `processes` decoding processes, each started when it is first needed.

    `decode` may be called from any thread; leave the context only when all calls have returned. Memory:
    `limits.decode_memory_bytes` of address space a process. A process sees none of its parent's credentials: it gets
    no open files and only the variables that Python needs.
    """

    def __init__(self, processes: int, limits: Limits, *, command: Sequence[str] = _COMMAND) -> None:
        self._limits = limits
        self._command = command
        self._idle: LifoQueue[_Child | None] = LifoQueue()
        for _ in range(processes):
            self._idle.put(None)
        # Linux kills a child when the thread that started it ends, so one thread starts them all, and stays.
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="decoders")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        while not self._idle.empty():
            if child := self._idle.get():
                child.close(grace_s=_STOP_TIMEOUT_S)
        self._starter.shutdown()

    def decode(self, body: bytes, request: DecodeRequest) -> Decoded | Skipped:
        """Decode one image, waiting for a free process first.

        An image that its process does not survive is skipped and not tried again.

        Raises:
            JobFailed: a decoding process does not start.
        """
        child = self._idle.get()
        healthy = False
        try:
            if child is None or not child.alive:
                child = self._replaced(child)
            result = child.decode(body, request)
            healthy = child.alive
        finally:
            if child is not None and not healthy:
                child.close()
            self._idle.put(child if healthy else None)
        return result

    def _replaced(self, dead: "_Child | None") -> "_Child":
        if dead is not None:
            dead.close()
        child = self._starter.submit(_Child, self._limits, self._command).result()
        child.await_ready()
        return child


class _Child:
    """One decoding process. Used by one thread at a time."""

    def __init__(self, limits: Limits, command: Sequence[str]) -> None:
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
    def alive(self) -> bool:
        """False once the process has ended, by itself or killed."""
        return self._process.poll() is None

    def await_ready(self) -> None:
        """Wait until the process has started up.

        Raises:
            JobFailed: it has not; the text is the last that it said.
        """
        try:
            answer = self._answer(self._limits.model_dump_json().encode(), timeout_s=_START_TIMEOUT_S)
        except TimeoutError:
            answer = None
        if answer is None:
            self._end()
            words = self._last_words() or "it said nothing"
            self.close()
            raise JobFailed(f"a decoding process did not start: {words}")

    def decode(self, body: bytes, request: DecodeRequest) -> Decoded | Skipped:
        """Return the result; afterwards the process may be dead."""
        timeout_s = self._limits.decode_timeout_s
        try:
            answer = self._answer(_json(request), body, timeout_s=timeout_s)
        except TimeoutError:
            self._end()
            return Skipped(SkipReason.DECODE_TIMEOUT, f"not decoded within {timeout_s:g} s")
        return unpacked(*answer) if answer is not None else self._death()

    def close(self, *, grace_s: float = 0.0) -> None:
        """End the process: by itself within `grace_s`, else killed. Safe to call again."""
        self._connection.close()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._end()
        self._stderr.close()

    def _answer(
        self, header: bytes, body: bytes = b"", *, timeout_s: float
    ) -> tuple[bytes, bytearray] | None:
        deadline = monotonic() + timeout_s
        self._connection.settimeout(timeout_s)
        try:
            send(self._connection, header, body)
        except ConnectionError:
            return None
        return receive(self._connection, deadline=deadline)

    def _death(self) -> Skipped:
        try:
            status = self._process.wait(_STOP_TIMEOUT_S)  # its end of the socket closes a little earlier
        except subprocess.TimeoutExpired:
            self._end()
            status = self._process.returncode
        if status == OUT_OF_MEMORY_STATUS:
            return Skipped(SkipReason.OUT_OF_MEMORY, OUT_OF_MEMORY_DETAIL)
        how = f"signal {-status}" if status < 0 else f"status {status}"
        words = self._last_words()
        detail = f"the decoding process ended with {how}" + (f": {words}" if words else "")
        return Skipped(SkipReason.DECODE_CRASHED, detail)

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()

    def _last_words(self) -> str:
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - 2000))
        lines = self._stderr.read().decode(errors="replace").split("\n")
        return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


@lru_cache(maxsize=16)
def _json(request: DecodeRequest) -> bytes:
    return request.model_dump_json().encode()


def _environment() -> dict[str, str]:
    """Return the variables of a child: what Python and the loader need, and one thread for numpy."""
    passed = {
        name: value
        for name, value in os.environ.items()
        if name in {"PATH", "LANG", "TMPDIR"} or name.startswith(("PYTHON", "LD_", "LC_"))
    }
    return {**passed, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
