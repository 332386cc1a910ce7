"""What is read of an object, over real servers, and what that costs."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.servers import FaultProxy, S3Server, client_of
from worker.errors import ObjectChanged, ObjectMissing, StorageError
from worker.samples import Source
from worker.storage.local import LocalStore
from worker.storage.s3 import S3Store
from worker.storage.store import ObjectStore
from worker.video.ranges import BLOCK_BYTES, PIECE_BYTES, RangeCache, RangeReader, joined

MIB = 2**20
BODY = np.random.default_rng(1).bytes(40 * MIB + 12_345)


@pytest.fixture
def cache() -> Iterator[RangeCache]:
    cache = RangeCache(32 * MIB)
    yield cache
    cache.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    store = LocalStore(tmp_path_factory.mktemp("ranges"))
    store.put("large", BODY, media_type="video/mp4")
    store.put("middle", BODY[: 8 * MIB], media_type="video/mp4")
    store.put("small", BODY[:300_000], media_type="video/mp4")
    return store


def listed(store: ObjectStore, key: str) -> Source:
    found = store.head(key)
    assert found is not None
    return Source(key, found.etag, found.size)


def read(reader: RangeReader, start: int, stop: int) -> bytes:
    """Read as a decoder does: until everything has come."""
    parts = []
    while start < stop and (part := reader.read(start, min(32768, stop - start))):
        parts.append(part[: stop - start])
        start += len(parts[-1])
    return b"".join(parts)


def settled(cache: RangeCache) -> None:
    """Wait until nothing is being fetched ahead."""
    for _ in range(500):
        if cache.used_bytes == sum(p.stop - p.start for p in cache._unused):
            return
        time.sleep(0.01)
    raise AssertionError("still fetching")


def test_read__any_order_gives_the_bytes(cache: RangeCache, folder: LocalStore) -> None:
    source = listed(folder, "large")
    rng = np.random.default_rng(2)
    with cache.reader(folder, source) as reader:
        for start in rng.integers(0, len(BODY), 200).tolist():
            stop = start + int(rng.integers(1, 300_000))
            assert read(reader, start, stop) == BODY[start:stop]
            assert cache.used_bytes <= 32 * MIB
        assert reader.read(len(BODY), 10) == b""


def test_read__out_of_order_fetches_little(cache: RangeCache, folder: LocalStore) -> None:
    source = listed(folder, "large")
    with cache.reader(folder, source) as reader:
        for place in range(5, 35, 3):
            read(reader, place * MIB + 10, place * MIB + 20)
    settled(cache)
    traffic = cache.traffic(source)
    assert (traffic.way, traffic.requests, traffic.bytes_read) == ("ranges", 10, 10 * BLOCK_BYTES)


def test_read__in_order_fetches_ever_more_and_ahead(cache: RangeCache, folder: LocalStore) -> None:
    source = listed(folder, "large")
    with cache.reader(folder, source) as reader:
        assert read(reader, 0, len(BODY)) == BODY
    settled(cache)
    traffic = cache.traffic(source)
    assert traffic.bytes_read == len(BODY)
    assert traffic.requests <= 25


def test_read__a_little_in_order_is_not_much_ahead(cache: RangeCache, folder: LocalStore) -> None:
    source = listed(folder, "large")
    with cache.reader(folder, source) as reader:
        read(reader, 10 * MIB, 10 * MIB + 150_000)
    settled(cache)
    assert cache.traffic(source).bytes_read <= 3 * 150_000


def test_read__a_small_object_at_once(cache: RangeCache, folder: LocalStore) -> None:
    source = listed(folder, "small")
    with cache.reader(folder, source) as reader:
        assert read(reader, 200_000, 200_010) == BODY[200_000:200_010]
        assert read(reader, 0, 300_000) == BODY[:300_000]
    traffic = cache.traffic(source)
    assert (traffic.way, traffic.requests, traffic.bytes_read) == ("whole", 1, 300_000)


def test_expect__fetches_exactly_what_was_announced(cache: RangeCache, folder: LocalStore) -> None:
    source = listed(folder, "large")
    spans = [(start, start + 100_001) for start in range(MIB + 7, 40 * MIB, 3 * MIB)]
    with cache.reader(folder, source) as reader:
        reader.expect(spans)
        for start, stop in spans:
            assert read(reader, start, stop) == BODY[start:stop]
    settled(cache)
    traffic = cache.traffic(source)
    assert (traffic.requests, traffic.bytes_read) == (len(spans), 100_001 * len(spans))


def test_expect__joins_what_is_near(cache: RangeCache, folder: LocalStore) -> None:
    source = listed(folder, "large")
    with cache.reader(folder, source) as reader:
        reader.expect(
            [(9 * MIB, 9 * MIB + 1000), (9 * MIB + 50_000, 9 * MIB + 60_000), (30 * MIB, 30 * MIB + 5)]
        )
        read(reader, 9 * MIB + 50_000, 9 * MIB + 60_000)
        read(reader, 30 * MIB, 30 * MIB + 5)
    settled(cache)
    assert cache.traffic(source).bytes_read == 10_000 + 5


def test_expect__reads_whole_where_most_is_wanted(cache: RangeCache, folder: LocalStore) -> None:
    source = listed(folder, "middle")
    with cache.reader(folder, source) as reader:
        reader.expect([(MIB, 6 * MIB)])
        assert read(reader, MIB, 6 * MIB) == BODY[MIB : 6 * MIB]
    traffic = cache.traffic(source)
    assert (traffic.way, traffic.requests, traffic.bytes_read) == ("whole", 1, 8 * MIB)


def test_expect__reads_whole_where_requests_would_cost_more(cache: RangeCache, folder: LocalStore) -> None:
    source = listed(folder, "middle")
    with cache.reader(folder, source) as reader:
        reader.expect([(start, start + 1000) for start in range(0, 8 * MIB, 500_000)])
        read(reader, 0, 1000)
    assert cache.traffic(source).way == "whole"


def test_read__memory_stays_within_its_bound_for_many_readers(folder: LocalStore) -> None:
    source = listed(folder, "large")
    cache = RangeCache(4 * MIB)
    most = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.is_set():
            most = max(most, cache.used_bytes)
            time.sleep(0.0005)

    def part(number: int) -> bool:
        start = number * 4 * MIB
        with cache.reader(folder, source) as reader:
            return read(reader, start, start + 4 * MIB) == BODY[start : start + 4 * MIB]

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(part, range(10)))
    done.set()
    watcher.join()
    cache.close()
    assert MIB < most <= 4 * MIB


def test_read__two_readers_of_one_part_fetch_it_once(cache: RangeCache, folder: LocalStore) -> None:
    source = listed(folder, "large")

    def part(_: int) -> bytes:
        with cache.reader(folder, source) as reader:
            reader.expect([(5 * MIB, 6 * MIB)])
            return read(reader, 5 * MIB, 6 * MIB)

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(part, range(8))) == {BODY[5 * MIB : 6 * MIB]}
    assert cache.traffic(source).requests == 1


def test_forget__lets_go(cache: RangeCache, folder: LocalStore) -> None:
    source = listed(folder, "large")
    with cache.reader(folder, source) as reader:
        read(reader, 0, 2 * MIB)
    settled(cache)
    cache.forget(source)
    assert cache.used_bytes == 0
    assert cache.traffic(source).requests == 0


def test_read__a_missing_and_a_changed_file(cache: RangeCache, tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put("key", BODY[: 3 * MIB], media_type="video/mp4")
    source = listed(store, "key")
    with cache.reader(store, source) as reader:
        assert read(reader, 0, 1000) == BODY[:1000]
        store.put("key", BODY[MIB : 4 * MIB], media_type="video/mp4")
        with pytest.raises(ObjectChanged):
            read(reader, 2 * MIB, 2 * MIB + 1000)
        store.delete(["key"])
        with pytest.raises(ObjectMissing):
            read(reader, 2 * MIB, 2 * MIB + 1000)


@pytest.mark.parametrize("kind", ["moto", "nanio"])
def test_read__over_http_a_swapped_object_is_never_mixed(
    cache: RangeCache, kind: str, request: pytest.FixtureRequest
) -> None:
    server: S3Server = request.getfixturevalue(kind)
    store = S3Store(server.make_bucket(f"swapped-{kind}"), "", client_of(server), backoff_s=0.001)
    store.put("key", BODY[: 3 * MIB], media_type="video/mp4")
    source = listed(store, "key")
    with cache.reader(store, source) as reader:
        assert read(reader, MIB, MIB + 1000) == BODY[MIB : MIB + 1000]
        store.put("key", BODY[5 * MIB : 8 * MIB], media_type="video/mp4")
        with pytest.raises(ObjectChanged):
            read(reader, 2 * MIB, 2 * MIB + 1000)


def test_read__a_store_that_fails_is_asked_again_by_the_next_read(
    cache: RangeCache, moto: S3Server, fault_proxy: FaultProxy
) -> None:
    from tests.servers import Fault

    store = S3Store(
        moto.make_bucket("failing"), "", client_of(moto, url=fault_proxy.url, attempts=1), backoff_s=0.001
    )
    store.put("key", BODY[: 3 * MIB], media_type="video/mp4")
    source = listed(store, "key")
    with cache.reader(store, source) as reader:
        fault_proxy.always = Fault(status=500)
        with pytest.raises(StorageError):
            reader.read(0, 10)
        assert cache.used_bytes == 0
        fault_proxy.always = None
        assert read(reader, 0, 1000) == BODY[:1000]


def test_joined__spans() -> None:
    assert joined([(50, 60), (0, 10), (12, 20), (19, 30)], gap=5) == [(0, 30), (50, 60)]
    assert joined([(0, 10), (15, 20)], gap=5) == [(0, 10), (15, 20)]
    assert joined([], gap=5) == []


def test_read__no_piece_is_larger_than_one_get_may_be(cache: RangeCache, folder: LocalStore) -> None:
    source = listed(folder, "large")
    with cache.reader(folder, source) as reader:
        reader.expect_all()
        assert read(reader, 0, len(BODY)) == BODY
        assert all(piece.stop - piece.start <= PIECE_BYTES for piece in cache._unused)
