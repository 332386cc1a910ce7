"""Sources to decoded images: fetched by threads, decoded by processes, handed on in order, with bounded memory."""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from threading import Condition
from typing import Generic, TypeVar

from worker.ahead import ahead
from worker.errors import ObjectChanged, ObjectMissing
from worker.media.decoders import Decoders
from worker.media.images import DecodeRequest
from worker.media.limits import Limits
from worker.samples import Decoded, Skipped, SkipReason, Source
from worker.storage.store import ObjectStore

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wanted(Generic[T]):
    """One source to read, what to make of it, and a tag by which the caller knows it again."""

    source: Source
    request: DecodeRequest
    tag: T


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """What reading one source gave. `content` is the BLAKE2b-128 of the bytes in hex, None where none were read."""

    source: Source
    tag: T
    content: str | None
    result: Decoded | Skipped


@dataclass(frozen=True, slots=True)
class Reader:
    """How sources are read on this machine.

    Memory: at most `inflight_bytes` of undecoded bodies (or one larger body) and `lookahead` decoded images, besides
    the decoding processes, each bounded by `limits.decode_memory_bytes`.
    """

    store: ObjectStore
    decoders: Decoders
    limits: Limits
    fetch_threads: int
    inflight_bytes: int
    lookahead: int

    def read(self, wanted: Iterable[Wanted[T]]) -> Generator[Read[T]]:
        """Return one result for each wanted source, in the same order.

        Raises:
            StorageError: the store failed for good; a missing or changed object is a skipped source, not an error.
        """
        budget = _Budget(self.inflight_bytes)

        def admitted() -> Iterator[Wanted[T]]:
            for item in wanted:
                budget.take(item.source.size)
                yield item

        def read_within(item: Wanted[T]) -> Read[T]:
            try:
                return self._read_one(item)
            finally:
                budget.give(item.source.size)

        return ahead(read_within, admitted(), threads=self.fetch_threads, depth=self.lookahead)

    def _read_one(self, item: Wanted[T]) -> Read[T]:
        source = item.source
        if source.size > self.limits.max_object_bytes:
            detail = f"{source.size:,} bytes; the limit is {self.limits.max_object_bytes:,}"
            return Read(source, item.tag, None, Skipped(SkipReason.TOO_MANY_BYTES, detail))
        try:
            body = self.store.get(source.key, etag=source.etag, size=source.size)
        except ObjectMissing:
            return Read(source, item.tag, None, Skipped(SkipReason.MISSING, "gone since it was listed"))
        except ObjectChanged:
            return Read(source, item.tag, None, Skipped(SkipReason.CHANGED, "changed since it was listed"))
        content = blake2b(body, digest_size=16).hexdigest()
        return Read(source, item.tag, content, self.decoders.decode(body, item.request))


class _Budget:
    """A number of bytes that threads take and give back. More than there is may be taken once nothing is out."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._taken = 0
        self._changed = Condition()

    def take(self, amount: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._taken == 0 or self._taken + amount <= self._total)
            self._taken += amount

    def give(self, amount: int) -> None:
        with self._changed:
            self._taken -= amount
            self._changed.notify_all()
