"""Sources to decoded images, in order, within bounds."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.blocks import Video
from tests.photos import make_photos
from worker.decoding_processes import DecodingProcesses, start_decoding
from worker.errors import StorageError
from worker.media.images import DecodeRequest
from worker.media.limits import Limits
from worker.reading import Read, Reader, Wanted
from worker.samples import Decoded, Skipped, SkipReason, Source
from worker.settings import Settings
from worker.storage.local import LocalStore
from worker.video.reading import VideoReader

LIMITS = Limits(max_object_bytes=100_000)
REQUEST = DecodeRequest(measures=("width", "height"))


class Watched(LocalStore):
    """A folder that may fail."""

    broken = False

    def get(self, key: str, *, etag: str | None = None, size: int | None = None) -> bytes:
        if self.broken:
            raise StorageError("the bucket is gone")
        return super().get(key, etag=etag, size=size)


@pytest.fixture(scope="module")
def decoding() -> Iterator[DecodingProcesses]:
    with start_decoding(Settings(decode_processes=2), LIMITS, threads=2) as running:
        yield running


def reader(store: LocalStore, decoding: DecodingProcesses, *, inflight_bytes: int = 2**20) -> Reader:
    return Reader(
        store,
        decoding.images,
        LIMITS,
        fetch_threads=4,
        inflight_bytes=inflight_bytes,
        lookahead=8,
        videos=VideoReader(store, decoding.videos, Video(), decoding.processes),
    )


def wanted(store: LocalStore) -> list[Wanted[int]]:
    return [
        Wanted(Source(info.key, info.etag, info.size), REQUEST, number)
        for number, info in enumerate(store.list())
    ]


def reasons(reads: list[Read[int]]) -> dict[str, SkipReason]:
    return {read.source.key: read.result.reason for read in reads if isinstance(read.result, Skipped)}


def test_read__keeps_order_and_gives_one_result_a_source(tmp_path: Path, decoding: DecodingProcesses) -> None:
    keys = make_photos(tmp_path, 30)
    store = LocalStore(tmp_path)
    reads = list(reader(store, decoding).read(wanted(store)))
    assert [read.source.key for read in reads] == keys
    assert [read.tag for read in reads] == list(range(30))
    assert all(
        isinstance(read.result, Decoded) and read.result.measures == {"width": 48, "height": 40}
        for read in reads
    )
    assert len({read.content for read in reads}) == 30


def test_read__a_bad_source_costs_itself_only(tmp_path: Path, decoding: DecodingProcesses) -> None:
    make_photos(tmp_path, 3)
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "huge.jpg").write_bytes(b"x" * 100_001)
    (tmp_path / "page.jpg").write_bytes(b"<html>no image</html>")
    store = LocalStore(tmp_path)
    listed = wanted(store)
    (tmp_path / "00000.jpg").unlink()
    (tmp_path / "00001.jpg").write_bytes(b"changed")
    assert reasons(list(reader(store, decoding).read(listed))) == {
        "00000.jpg": SkipReason.MISSING,
        "00001.jpg": SkipReason.CHANGED,
        "empty.jpg": SkipReason.EMPTY,
        "huge.jpg": SkipReason.TOO_MANY_BYTES,
        "page.jpg": SkipReason.NOT_AN_IMAGE,
    }


def test_read__bodies_larger_than_the_budget_pass_one_at_a_time(
    tmp_path: Path, decoding: DecodingProcesses
) -> None:
    make_photos(tmp_path, 10)
    store = LocalStore(tmp_path)
    reads = list(reader(store, decoding, inflight_bytes=1).read(wanted(store)))
    assert not reasons(reads)
    assert len(reads) == 10


def test_read__a_store_that_fails_ends_it_and_leaves_no_thread(
    tmp_path: Path, decoding: DecodingProcesses
) -> None:
    make_photos(tmp_path, 20)
    store = Watched(tmp_path)
    listed = wanted(store)
    store.broken = True
    before = threading.active_count()
    with pytest.raises(StorageError, match="gone"):
        list(reader(store, decoding).read(listed))
    assert threading.active_count() <= before
