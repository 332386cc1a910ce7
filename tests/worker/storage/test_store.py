"""The laws of ObjectStore, for every store on real servers."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from worker.errors import ObjectChanged, ObjectMissing, StorageError
from worker.storage.s3 import S3Store
from worker.storage.store import ObjectStore, Usage

ORDERED = [
    "a",
    "a b",
    "a+b",
    "a-b/c",
    "a.jpg",
    "a/b",
    "a/b c/d",
    "a0",
    "b",
    "\u00e9",
    "\u65e5\u672c.png",
    "\U0001f600",
]
HOSTILE = [
    "sp ace.jpg",
    "100%.jpg",
    "a#b",
    "a?b=c&d",
    "<a>&amp;",
    "e\u0301",
    "\u202egpj.exe",
    "back\\slash",
    'q"uote',
    "~",
]


def put(store: ObjectStore, key: str, body: bytes = b"body") -> None:
    store.put(key, body, media_type="application/octet-stream")


def test_list__ascends_by_utf8_bytes_of_the_whole_key(store: ObjectStore) -> None:
    keys = [key for key in ORDERED if key not in ("a", "a/b", "a/b c/d")] + ["a/b", "a/b c/d"]
    for key in keys:
        put(store, key)
    assert [found.key for found in store.list()] == sorted(keys, key=str.encode)


def test_list__a_prefix_is_text_not_a_folder(store: ObjectStore) -> None:
    for key in ["2025/x", "2026-11/a", "2026-12/b", "2026/c", "other"]:
        put(store, key)
    assert [found.key for found in store.list("2026")] == ["2026-11/a", "2026-12/b", "2026/c"]
    assert [found.key for found in store.list("2026-1")] == ["2026-11/a", "2026-12/b"]
    assert [found.key for found in store.list("2026-11/")] == ["2026-11/a"]
    assert [found.key for found in store.list("2026-11/a")] == ["2026-11/a"]
    assert list(store.list("nothing/here")) == []


def test_list__agrees_with_head(store: ObjectStore) -> None:
    put(store, "a/b", b"123")
    (found,) = store.list()
    head = store.head("a/b")
    assert head is not None
    assert (found.key, found.etag, found.size) == (head.key, head.etag, head.size)
    assert found.size == 3
    assert '"' not in found.etag
    assert abs((datetime.now(UTC) - found.modified_at).total_seconds()) < 3600


def test_list__more_than_a_page(store: ObjectStore, kind: str, request: pytest.FixtureRequest) -> None:
    keys = [f"many/{index:04d}" for index in range(205 if kind == "moto" else 1003)]
    if isinstance(store, S3Store) and kind == "nanio":  # a put each would take ten seconds
        folder = request.getfixturevalue("nanio").folder / store.bucket / store.prefix
        (folder / "many").mkdir(parents=True)
        for key in keys:
            (folder / key).touch()
    else:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda key: put(store, key, b""), keys))
    assert [found.key for found in store.list()] == keys
    assert store.usage.requests["LIST"] == {"local": 1, "moto": 3, "nanio": 2}[kind]


@pytest.mark.parametrize("key", HOSTILE)
def test_keys__are_data(store: ObjectStore, key: str) -> None:
    put(store, f"in/{key}", key.encode())
    (found,) = store.list()
    assert found.key == f"in/{key}"
    assert store.get(found.key, etag=found.etag, size=found.size) == key.encode()
    store.delete([found.key])
    assert list(store.list()) == []


@pytest.mark.parametrize("body", [b"", b"\0\xff" * 70_000])
def test_get__returns_what_was_put(store: ObjectStore, body: bytes) -> None:
    put(store, "key", body)
    assert store.get("key") == body


def test_put__replaces(store: ObjectStore) -> None:
    put(store, "key", b"old and longer")
    put(store, "key", b"new")
    assert store.get("key") == b"new"
    assert [found.key for found in store.list()] == ["key"]


def test_get__a_changed_object(store: ObjectStore) -> None:
    put(store, "key", b"old")
    (planned,) = store.list()
    put(store, "key", b"other")
    with pytest.raises(ObjectChanged, match="key"):
        store.get("key", etag=planned.etag, size=planned.size)
    with pytest.raises(ObjectChanged, match="key"):
        store.get("key", size=planned.size)
    with pytest.raises(ObjectChanged, match="key"):
        store.get("key", etag=planned.etag)


def test_get__missing(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissing, match=r"no such object: .*nothing"):
        store.get("nothing")
    assert store.head("nothing") is None


def test_delete__what_is_there_and_what_is_not(store: ObjectStore) -> None:
    put(store, "a")
    put(store, "b")
    store.delete(["a", "never/was"])
    assert [found.key for found in store.list()] == ["b"]


def test_usage__counts_requests_and_bytes(store: ObjectStore) -> None:
    put(store, "key", b"12345")
    store.get("key")
    store.head("key")
    list(store.list())
    store.delete(["key"])
    assert store.usage.requests == {"PUT": 1, "GET": 1, "HEAD": 1, "LIST": 1, "DELETE": 1}
    assert (store.usage.bytes_written, store.usage.bytes_read) == (5, 5)


def test_store__from_many_threads(store: ObjectStore) -> None:
    keys = [f"{index}" for index in range(40)]
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda key: put(store, key, key.encode() * 1000), keys))
        bodies = list(threads.map(store.get, keys))
    assert bodies == [key.encode() * 1000 for key in keys]
    assert store.usage.requests["GET"] == 40


def test_put__a_key_that_cannot_be_encoded(store: ObjectStore) -> None:
    with pytest.raises(StorageError, match=r"lone\\udc80"):
        put(store, "lone\udc80")


def test_url__ends_with_a_slash(store: ObjectStore) -> None:
    assert isinstance(store, ObjectStore)
    assert store.url.endswith("/")


def test_usage_add__counts_each_kind() -> None:
    usage = Usage()
    usage.add("GET", read=2)
    usage.add("GET")
    usage.add_bytes(read=3, written=4)
    assert (usage.requests, usage.bytes_read, usage.bytes_written) == ({"GET": 2}, 5, 4)


def test_get_range__any_part(store: ObjectStore) -> None:
    body = bytes(range(256)) * 40
    put(store, "key", body)
    (found,) = store.list()
    for start, stop in [(0, 1), (0, len(body)), (5, 4000), (len(body) - 1, len(body))]:
        part = store.get_range("key", start, stop, etag=found.etag, size=found.size)
        assert part == body[start:stop]
    assert store.usage.requests["GET"] == 4
    assert store.usage.bytes_read == 1 + len(body) + 3995 + 1


@pytest.mark.parametrize("other", [b"other", b"longer than before", b"x"])
def test_get_range__of_a_changed_object(store: ObjectStore, other: bytes) -> None:
    put(store, "key", b"01234")
    (planned,) = store.list()
    put(store, "key", other)
    with pytest.raises(ObjectChanged, match="key"):
        store.get_range("key", 2, 4, etag=planned.etag, size=planned.size)


def test_get_range__missing(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissing, match="nothing"):
        store.get_range("nothing", 0, 1, etag="0" * 32, size=1)
