"""Real S3 servers on this machine, and a proxy that breaks answers on purpose."""

import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from worker.settings import Connection
from worker.storage.s3 import make_client


@dataclass(frozen=True)
class S3Server:
    """A server that listens, with credentials that it accepts."""

    url: str
    access_key: str = "framesift-test-access-key"
    secret_key: str = "framesift-test-secret-key"
    region: str = "us-east-1"
    folder: Path | None = None
    """Where the objects are files, `<bucket>/<key>`, for a server that keeps them so."""

    def connection(self, *, url: str | None = None) -> Connection:
        """Return the settings to reach it, through a proxy's `url` where one is given."""
        return Connection(
            endpoint_url=url or self.url,
            region=self.region,
            access_key_id=self.access_key,
            secret_access_key=self.secret_key,
        )

    def environment(self, *, url: str | None = None) -> dict[str, str]:
        """Return the AWS variables that make it the default connection."""
        return {
            "AWS_ENDPOINT_URL_S3": url or self.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region,
        }

    def make_bucket(self, name: str) -> str:
        """Create an empty bucket and return its name."""
        _administrator(self).create_bucket(Bucket=name)
        return name


@cache
def client_of(server: S3Server, *, url: str | None = None, attempts: int = 5) -> Any:
    """Return a client for S3Store, one a server, through a proxy's `url` where one is given."""
    return make_client(server.connection(url=url), threads=16, attempts=attempts)


@cache
def _administrator(server: S3Server) -> Any:
    return boto3.session.Session().client(
        "s3",
        endpoint_url=server.url,
        region_name=server.region,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        config=Config(s3={"addressing_style": "path"}),
    )


@contextmanager
def moto_server() -> Iterator[S3Server]:
    """Run moto: S3's semantics in memory; honours If-Match, does not check signatures. Lists 100 keys a page."""
    port = free_port()
    command = ["-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _running(command, port, {"MOTO_S3_DEFAULT_MAX_KEYS": "100"}):
        yield S3Server(f"http://127.0.0.1:{port}")


@contextmanager
def nanio_server(folder: Path) -> Iterator[S3Server]:
    """Run nanio: a server that keeps its objects in `folder` and checks signatures; ignores If-Match."""
    port = free_port()
    server = S3Server(f"http://127.0.0.1:{port}", folder=folder)
    credentials = {"NANIO_ACCESS_KEY": server.access_key, "NANIO_SECRET_KEY": server.secret_key}
    command = ["-m", "nanio", "serve", "--host", "127.0.0.1", "--port", str(port), "--data-dir", str(folder)]
    with _running([*command, "--no-access-log", "--log-level", "error"], port, credentials):
        yield server


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Fault:
    """What happens to one answer.

    `status`: the answer, with `body` or else an error of `code`, and `headers`; the server is not asked. `keep_bytes`: the body ends after so many bytes;
    its length is stated as before unless `honest`. `reset`: the connection is reset at that point instead of closed.
    """

    status: int | None = None
    code: str = "InternalError"
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    keep_bytes: int | None = None
    honest: bool = False
    reset: bool = False
    delay_s: float = 0.0


class FaultProxy:
    """A server between a client and an S3 server; `faults` are used up one a request, `always` is not."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.faults: list[Fault] = []
        self.always: Fault | None = None
        self.requests: list[str] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Relay)
        self._server.daemon_threads = True
        self._server.proxy = self  # type: ignore[attr-defined]  # the handler finds it there
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def next_fault(self, method: str) -> Fault | None:
        """Note a request and return what shall happen to its answer."""
        with self._lock:
            self.requests.append(method)
            return self.always or (self.faults.pop(0) if self.faults else None)

    def reset(self) -> None:
        """Break nothing from now on, and forget the requests."""
        with self._lock:
            self.faults, self.always, self.requests = [], None, []

    @contextmanager
    def running(self) -> Iterator["FaultProxy"]:
        """Serve in a thread until the block ends."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


class _Relay(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _relay(self) -> None:
        proxy: FaultProxy = self.server.proxy  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = proxy.next_fault(self.command) or Fault()
        time.sleep(fault.delay_s)
        if fault.status is not None:
            error = f"<Error><Code>{fault.code}</Code><Message>on purpose</Message></Error>".encode()
            headers = [("Content-Type", "application/xml"), *fault.headers]
            self._answer(fault.status, headers, fault.body or error, Fault())
        else:
            self._answer(*self._asked(proxy.upstream, body), fault)

    def _asked(self, upstream: str, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        with closing(HTTPConnection(urlsplit(upstream).netloc, timeout=30)) as connection:
            # Host is signed, so it goes on as it came.
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in {"connection", "expect"}:
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, fault: Fault) -> None:
        sent = body if fault.keep_bytes is None else body[: fault.keep_bytes]
        stated = dict(headers).get("Content-Length", str(len(body)))
        if fault.honest:
            stated = str(len(sent))
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                self.send_header(name, value)
        if status not in {204, 304}:
            self.send_header("Content-Length", stated)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(sent)
        if fault.reset or (fault.keep_bytes is not None and not fault.honest):
            self.wfile.flush()
            self._hang_up(reset=fault.reset)

    def _hang_up(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:  # closing with a linger of zero seconds sends RST
            time.sleep(0.05)  # an RST overtakes what the client has not read yet
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _relay  # noqa: N815  # names of http.server

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@contextmanager
def _running(command: list[str], port: int, environment: dict[str, str] | None = None) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_listening(process, port)
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_listening(process: "subprocess.Popen[bytes]", port: int, patience_s: float = 60.0) -> None:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"server on port {port} ended with code {process.returncode}")
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"server on port {port} did not listen within {patience_s:.0f} s")
