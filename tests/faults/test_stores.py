"""An S3 server that fails, breaks off and resets, and inputs that change, vanish or are hostile."""

import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deployment import (
    Deployment,
    apart_from_skipped,
    artefacts,
    deployment,
    skipped,
    tries_beyond_one,
    undisturbed,
    wait_for,
    wait_until_ended,
)
from tests.photos import jpeg
from tests.servers import Fault, FaultProxy, S3Server, client_of, moto_server
from tests.worker.runs import job
from worker.storage.s3 import S3Store

Note = Callable[[str, object], None]
PHOTOS = 48
HOSTILE = {
    "00000-bomb.png": "too_many_pixels",
    "00001-broken-off.jpg": "truncated",
    "00002-empty.jpg": "empty",
    "00003-script.jpg": "not_an_image",
    "00004-noise.jpg": "corrupt",
}


@dataclass(frozen=True)
class Bucket:
    """A deployment whose input and output lie in S3, behind a proxy that can fail."""

    running: Deployment
    server: S3Server
    proxy: FaultProxy

    def folder(self, name: str, *, bucket: str = "recordings") -> S3Store:
        """Return what lies below a name; not by way of the proxy."""
        return S3Store(bucket, name, client_of(self.server))


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    with moto_server() as server, FaultProxy(server.url).running() as proxy:
        for name in ("recordings", "curation"):
            server.make_bucket(name)
        places = {"FRAMESIFT_OUTPUTS": "s3://curation/", "FRAMESIFT_INPUTS": "s3://recordings/"}
        environment = server.environment(url=proxy.url) | places
        with deployment(tmp_path_factory.mktemp("stores") / "deployment", environment=environment) as running:
            running.worker("cpu", fault="no-pdf", queues="cpu")
            running.beat()
            yield Bucket(running, server, proxy)
            for name in running.processes:
                assert "Traceback" not in running.said(name), running.said(name)


@pytest.fixture
def here(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process reach the server as its default connection."""
    for name, value in bucket.server.environment().items():
        monkeypatch.setenv(name, value)


def fill(store: S3Store, photos: dict[str, bytes]) -> None:
    for key, body in photos.items():
        store.put(key, body, media_type="image/jpeg")


def some_photos() -> dict[str, bytes]:
    return {f"{number:05}.jpg": jpeg(number) for number in range(PHOTOS)}


def bomb() -> bytes:
    """Return a small PNG whose head promises 10 gigapixels."""

    def part(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + part(b"IHDR", head)
        + part(b"IDAT", zlib.compress(bytes(1000)))
        + part(b"IEND", b"")
    )


def hostile() -> dict[str, bytes]:
    whole = jpeg(1)
    bodies = (
        bomb(),
        whole[: len(whole) // 2],
        b"",
        b"<script>alert(1)</script>",
        whole[:200] + bytes(len(whole) - 200),
    )
    return dict(zip(HOSTILE, bodies, strict=True))


@pytest.mark.usefixtures("here")
def test_inputs__that_change_vanish_or_are_hostile_are_as_if_the_plan_lacked_them(
    bucket: Bucket, tmp_path: Path
) -> None:
    night, lacking = bucket.folder("night"), bucket.folder("lacking")
    photos = some_photos()
    fill(night, photos | hostile())
    changed, vanished = "00010.jpg", "00020.jpg"
    fill(lacking, {key: body for key, body in photos.items() if key not in {changed, vanished}})
    client = bucket.running.client()
    job_id = client.submit(job("s3://recordings/night/", "s3://curation/changing/")).job_id
    wait_for(lambda: client.status(job_id).chunks, "the plan")  # nobody works on chunks yet
    night.put(changed, jpeg(999), media_type="image/jpeg")
    night.delete([vanished])
    bucket.running.worker("gpu", fault="slow=0.3", queues="gpu")
    assert wait_until_ended(client, job_id).state == "done"
    found = artefacts(bucket.folder("changing", bucket="curation"), job_id)
    expected = undisturbed("s3://recordings/lacking/", tmp_path / "out")
    assert apart_from_skipped(found) == apart_from_skipped(expected)
    assert skipped(expected) == {}
    assert skipped(found) == HOSTILE | {changed: "changed", vanished: "missing"}


@pytest.mark.usefixtures("here")
def test_s3__bursts_of_errors_resets_and_broken_bodies(
    bucket: Bucket, tmp_path: Path, record_property: Note
) -> None:
    fill(bucket.folder("stormy"), some_photos())
    expected = undisturbed("s3://recordings/stormy/", tmp_path / "out")
    if "gpu" not in bucket.running.processes:
        bucket.running.worker("gpu", fault="slow=0.3", queues="gpu")
    client, proxy = bucket.running.client(), bucket.proxy
    proxy.reset()
    calm = threading.Event()
    bursts = [
        Fault(status=500),
        Fault(status=503, code="SlowDown"),
        Fault(reset=True),
        Fault(keep_bytes=100),
        Fault(keep_bytes=100, reset=True),
    ]

    def storm() -> None:
        for burst in bursts * 4:
            proxy.always = burst
            calm.wait(0.4)
            proxy.always = None
            if calm.wait(0.6):
                return

    thread = threading.Thread(target=storm)
    thread.start()
    try:
        began = time.monotonic()
        job_id = client.submit(job("s3://recordings/stormy/", "s3://curation/stormy/")).job_id
        wait_for(lambda: client.status(job_id).stage in {"report", None}, "the selection")
    finally:
        calm.set()
        thread.join()
    assert wait_until_ended(client, job_id).state == "done"
    record_property("job under a storm of faults, s", round(time.monotonic() - began, 1))
    record_property("requests", len(proxy.requests))
    record_property("steps begun again", tries_beyond_one(client, job_id))
    assert artefacts(bucket.folder("stormy", bucket="curation"), job_id) == expected
