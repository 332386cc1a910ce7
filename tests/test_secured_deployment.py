"""A deployment as it should be run: Redis with TLS and an ACL user, S3 that checks signatures; no secret gets out."""

import hashlib
import hmac
import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from redis import Redis, RedisError
from redis.exceptions import NoPermissionError

from jobs.client import Client
from jobs.errors import QueueDown
from jobs.settings import QueueSettings, read_settings
from tests.deployment import Deployment, wait_until_ended
from tests.photos import jpeg
from tests.redis_server import RedisServer, redis_binary
from tests.servers import S3Server, client_of, free_port
from tests.worker.runs import job
from worker.storage.s3 import S3Store

ADMIN, PASSWORD, WEBHOOK_KEY, TOKEN = "admin-1f7a93", "user:9c@2/e+77", "webhook-77b1c2", "token-5521ab"
RULES = (Path(__file__).parents[1] / "docs" / "redis.acl").read_text().strip()
USERS = f"user default off\nuser admin on >{ADMIN} ~* &* +@all\nuser framesift on >{PASSWORD} {RULES}\n"


def has_tls() -> bool:
    linked = subprocess.run(["ldd", redis_binary()], capture_output=True, text=True, check=False).stdout
    return "libssl" in linked


needs_tls = pytest.mark.skipif(
    not has_tls() and not os.environ.get("FRAMESIFT_TEST_NO_SKIP"),
    reason="this redis-server was built without TLS; Debian's package has it",
)


@dataclass
class SecuredRedis(RedisServer):
    """A server that takes nothing but TLS connections of the users in its ACL."""

    @property
    def certificate(self) -> Path:
        """What clients check it against."""
        return self.folder / "server.pem"

    @property
    def url(self) -> str:
        """Where it is, for the user of a deployment."""
        return f"rediss://framesift@localhost:{self.port}/0"

    def client(self) -> "Redis":
        """Return a client that may do everything."""
        return Redis(
            host="localhost",
            port=self.port,
            username="admin",
            password=ADMIN,
            ssl=True,
            ssl_ca_certs=str(self.certificate),
            decode_responses=True,
        )

    def start(self) -> None:
        """Start it without a port for plain connections."""
        key = self.folder / "key.pem"
        names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
        subprocess.run(
            [*make, "-keyout", str(key), "-out", str(self.certificate)], check=True, capture_output=True
        )
        (self.folder / "users.acl").write_text(USERS)
        options = {
            "port": 0,
            "tls-port": self.port,
            "bind": "127.0.0.1",
            "dir": self.folder,
            "tls-cert-file": self.certificate,
            "tls-key-file": key,
            "tls-auth-clients": "no",
            "aclfile": self.folder / "users.acl",
        }
        command = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        self.process = subprocess.Popen([redis_binary(), *command], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while True:
            try:
                self.client().ping()
                return
            except RedisError:
                assert time.monotonic() < deadline
                time.sleep(0.05)


@dataclass
class Hook:
    """A server that takes webhooks."""

    url: str = ""
    calls: list[tuple[str | None, bytes]] = field(default_factory=list)


@pytest.fixture
def hook() -> Iterator[Hook]:
    taken = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.calls.append((self.headers["X-Framesift-Signature"], body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    taken.url = f"http://127.0.0.1:{server.server_port}/{TOKEN}"
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield taken
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def secured(tmp_path: Path, nanio: S3Server, hook: Hook) -> Iterator[Deployment]:
    redis = SecuredRedis(tmp_path, free_port())
    redis.start()
    files = {"redis": PASSWORD, "s3": nanio.secret_key, "webhook": WEBHOOK_KEY}
    for name, secret in files.items():
        (tmp_path / name).write_text(f"{secret}\n")
    environment = {
        "FRAMESIFT_REDIS_URL": redis.url,
        "FRAMESIFT_REDIS_PASSWORD_FILE": str(tmp_path / "redis"),
        "FRAMESIFT_REDIS_CA_FILE": str(redis.certificate),
        "FRAMESIFT_OUTPUTS": '[{"url": "s3://secured-out/", "connection": "berlin"}]',
        "FRAMESIFT_CONNECTIONS__BERLIN__ENDPOINT_URL": nanio.url,
        "FRAMESIFT_CONNECTIONS__BERLIN__REGION": nanio.region,
        "FRAMESIFT_CONNECTIONS__BERLIN__ACCESS_KEY_ID": nanio.access_key,
        "FRAMESIFT_CONNECTIONS__BERLIN__SECRET_ACCESS_KEY_FILE": str(tmp_path / "s3"),
        "FRAMESIFT_WEBHOOK_URL": hook.url,
        "FRAMESIFT_WEBHOOK_SECRET_FILE": str(tmp_path / "webhook"),
        "FRAMESIFT_DEVICE": "cpu",
        "FRAMESIFT_RECONCILE_EVERY_S": "1",
        "FRAMESIFT_DECODE_PROCESSES": "1",
    }
    running = Deployment(tmp_path, redis, environment)
    try:
        yield running
    finally:
        running.close()
        redis.stop()


def client_of_deployment(secured: Deployment) -> Client:
    files = {"redis_password_file": secured.folder / "redis", "redis_ca_file": secured.folder / "server.pem"}
    return Client(read_settings(QueueSettings, redis_url=secured.redis.url, **files))


@needs_tls
def test_a_secured_deployment__does_a_job_and_tells_no_secret(
    secured: Deployment, nanio: S3Server, hook: Hook
) -> None:
    assert has_tls(), "this redis-server was built without TLS, and FRAMESIFT_TEST_NO_SKIP forbids to skip"
    nanio.make_bucket("secured-in")
    nanio.make_bucket("secured-out")
    s3 = client_of(nanio)
    for number in range(12):
        s3.put_object(Bucket="secured-in", Key=f"{number}.jpg", Body=jpeg(number))
    secured.worker(log_level="INFO")
    secured.beat()
    client = client_of_deployment(secured)
    document = job("s3://secured-in/", "s3://secured-out/")
    document["datasource"] = {
        "input": {"url": "s3://secured-in/", "connection": "berlin"},
        "output": {"url": "s3://secured-out/", "connection": "berlin"},
    }
    status = wait_until_ended(client, client.submit(document, idempotency_key="once").job_id)
    processes = [Path(f"/proc/{one.pid}/cmdline").read_bytes() for one in secured.processes.values()]
    assert status.state == "done", status.reason
    admin = secured.redis.client()
    denied = [entry for entry in admin.acl_log() if entry["username"] == "framesift"]
    assert denied == [], "the user of docs/redis.acl lacks a right"

    event = json.loads(hook.calls[0][1])
    assert event["state"] == "done"
    assert event["job_id"] == status.job_id
    signed = hmac.new(WEBHOOK_KEY.encode(), hook.calls[0][1], hashlib.sha256).hexdigest()
    assert hook.calls[0][0] == f"sha256={signed}"

    store = S3Store("secured-out", "", s3)
    written = [store.get(info.key) for info in store.list()]
    remembered = dumped(admin)
    said = [secured.said(name).encode() for name in ("one", "beat")]
    for secret in (PASSWORD, ADMIN, nanio.secret_key, WEBHOOK_KEY, TOKEN):
        for what, texts in {
            "results": written,
            "Redis": remembered,
            "logs": said,
            "commands": processes,
        }.items():
            assert not any(secret.encode() in text for text in texts), f"a secret is in {what}"
    assert len(written) > 8
    assert any(b"night" in text for text in remembered)
    assert any(b"framesift.chunk" in text for text in said)


@needs_tls
def test_a_secured_redis__is_reached_by_tls_and_password_only(secured: Deployment) -> None:
    ca = secured.folder / "server.pem"
    port = secured.redis.port
    right = secured.folder / "redis"
    wrong = secured.folder / "wrong"
    wrong.write_text("guessed")
    attempts: list[tuple[str, dict[str, Any]]] = [
        (f"redis://localhost:{port}/0", {}),
        (f"rediss://framesift@localhost:{port}/0", {"redis_password_file": right}),  # nobody vouches for it
        (f"rediss://framesift@127.0.0.1:{port}/0", {"redis_password_file": right, "redis_ca_file": ca}),
        (f"rediss://framesift@localhost:{port}/0", {"redis_password_file": wrong, "redis_ca_file": ca}),
        (f"rediss://localhost:{port}/0", {"redis_ca_file": ca}),
    ]
    for url, options in attempts:
        with pytest.raises(QueueDown) as failure:
            Client(read_settings(QueueSettings, redis_url=url, **options)).list()
        assert PASSWORD not in str(failure.value)
    assert client_of_deployment(secured).list() == []


@needs_tls
def test_the_documented_user__may_do_no_harm_beyond_its_prefix(secured: Deployment) -> None:
    assert RULES in (Path(__file__).parents[1] / "docs" / "queue.md").read_text()
    user = Redis(
        host="localhost",
        port=secured.redis.port,
        username="framesift",
        password=PASSWORD,
        ssl=True,
        ssl_ca_certs=str(secured.folder / "server.pem"),
    )
    user.set("framesift:x", "1")
    refused: list[tuple[str, ...]] = [
        ("SET", "other:x", "1"),
        ("GET", "other:x"),
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
        ("SHUTDOWN",),
        ("ACL", "LIST"),
        ("KEYS", "*"),
        ("SUBSCRIBE", "x"),
        ("MODULE", "LIST"),
    ]
    for command in refused:
        with pytest.raises(NoPermissionError):
            user.execute_command(*command)


def dumped(admin: "Redis") -> list[bytes]:
    """Return everything in Redis, as bytes."""
    found = []
    for key in admin.keys("*"):
        match admin.type(key):
            case "hash":
                found.append(json.dumps(admin.hgetall(key)).encode())
            case "list":
                found.append(json.dumps(admin.lrange(key, 0, -1)).encode())
            case "set":
                found.append(json.dumps(list(admin.smembers(key))).encode())
            case "zset":
                found.append(json.dumps(admin.zrange(key, 0, -1)).encode())
            case _:
                found.append(str(key).encode())
    return found
