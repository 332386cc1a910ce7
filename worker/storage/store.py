"""What a place to keep objects must do, whether it is a bucket or a folder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object as listed. `key` is relative to the store's own prefix; `etag` is opaque; `size` is in bytes."""

    key: str
    etag: str
    size: int
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class ExpiryRule:
    """What a bucket deletes by itself: objects whose key starts with `prefix` and whose size lies in between.

    Exactly one of `days` (after the object was written) and `date` is given. `larger_than` and `smaller_than` are bytes,
    neither included.
    """

    prefix: str
    days: int | None
    date: datetime | None
    larger_than: int = -1
    smaller_than: int | None = None

    def expires_at(self, info: ObjectInfo) -> datetime | None:
        """Return when the bucket deletes an object at the earliest, or None where the rule does not apply to it.

        Days count from the object's time of change and end at the next midnight, UTC, as S3 has it.
        """
        fits = info.size > self.larger_than and (self.smaller_than is None or info.size < self.smaller_than)
        if not fits or not info.key.startswith(self.prefix):
            return None
        if self.days is None:
            return self.date
        end = info.modified_at.astimezone(UTC) + timedelta(days=self.days)
        midnight = end.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight if midnight == end else midnight + timedelta(days=1)


@dataclass(slots=True)
class Usage:
    """Requests and bytes that went through one store; safe to add to from several threads.

    `unlisted` is how many names the latest finished listing left out because they are not valid UTF-8; a bucket
    has none.
    """

    requests: dict[str, int] = field(default_factory=dict)
    bytes_read: int = 0
    bytes_written: int = 0
    unlisted: int = 0
    _lock: Lock = field(default_factory=Lock, repr=False)

    def add(self, request: str, *, read: int = 0, written: int = 0) -> None:
        """Count one request of a kind (LIST, GET, PUT, HEAD, DELETE) and the bytes of its bodies."""
        with self._lock:
            self.requests[request] = self.requests.get(request, 0) + 1
        self.add_bytes(read=read, written=written)

    def add_bytes(self, *, read: int = 0, written: int = 0) -> None:
        """Count bytes of a request that is counted already."""
        with self._lock:
            self.bytes_read += read
            self.bytes_written += written


@runtime_checkable
class ObjectStore(Protocol):
    """Objects under one prefix. Keys are data: any text a bucket accepts, never a path to be resolved.

    Every method may raise StorageError (see worker/errors.py) after its own bounded retries. Methods are safe to
    call from several threads.
    """

    url: str
    """Where this is, for people: `s3://bucket/prefix/` or an absolute folder; ends with a slash."""

    usage: Usage

    @property
    def place(self) -> str:
        """Where this really is, links and endpoints resolved; ends with a slash, so a prefix of it lies around it."""
        ...

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects whose key starts with `prefix`, in ascending order of the key's UTF-8 bytes."""
        ...

    def expiry_rules(self) -> Sequence[ExpiryRule]:
        """Return by which rules objects of this store are deleted, with prefixes as its keys have them.

        Raises:
            StorageError: the server does not say.
        """
        ...

    def head(self, key: str) -> ObjectInfo | None:
        """Return what a listing would say of one object, or None where there is none."""
        ...

    def get(self, key: str, *, etag: str | None = None, size: int | None = None) -> bytes:
        """Return the whole body.

        With `etag` or `size`, raise ObjectChanged unless the object that was read has exactly these.
        """
        ...

    def get_range(self, key: str, start: int, stop: int, *, etag: str, size: int) -> bytes:
        """Return the bytes [start, stop) of one listed object; 0 <= start < stop <= size.

        Raises:
            ObjectChanged: what was read is not the object of this `etag` and `size`.
        """
        ...

    def put(self, key: str, body: bytes, *, media_type: str) -> None:
        """Write the object whole: a reader sees the old body or the new one, never a part."""
        ...

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; a key that is not there is no error."""
        ...
