"""Videos in a folder, and processes that decode them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from worker.media.limits import Limits
from worker.samples import Source
from worker.storage.local import LocalStore
from worker.video.processes import VideoDecoders

Put = Callable[[str, bytes], Source]


@pytest.fixture(scope="session")
def decoders() -> Iterator[VideoDecoders]:
    with VideoDecoders(2, Limits(), cache_bytes=2**26) as decoders:
        yield decoders


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    return LocalStore(tmp_path_factory.mktemp("videos"))


@pytest.fixture
def put(store: LocalStore, request: pytest.FixtureRequest) -> Put:
    """Store a file under a name of the test's own, and return it as it is listed."""

    def put(name: str, body: bytes) -> Source:
        key = f"{request.node.name.replace('/', '_')[:80]}/{name}"
        Path(store.root / key).parent.mkdir(parents=True, exist_ok=True)
        store.put(key, body, media_type="video/mp4")
        found = store.head(key)
        assert found is not None
        return Source(key, found.etag, found.size)

    return put
