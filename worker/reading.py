"""Sources to decoded samples: fetched by threads, decoded by processes, handed on in order, with bounded memory."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby
from threading import Condition
from typing import Generic, TypeVar

from worker.ahead import ahead
from worker.errors import ObjectChanged, ObjectMissing
from worker.media.decoders import Decoders
from worker.media.extensions import kind_of
from worker.media.images import DecodeRequest
from worker.media.limits import Limits
from worker.samples import Decoded, Skipped, SkipReason, Source
from worker.storage.store import ObjectStore
from worker.video.reading import FramePlace, SampledFrame, VideoEnd, VideoReader, WantedVideo

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wanted(Generic[T]):
    """One source to read, what to make of it, and a tag by which the caller knows it again."""

    source: Source
    request: DecodeRequest
    tag: T


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """One sample of a source, or why there is none; for a video several, the last of which is a VideoEnd.

    `content` is the BLAKE2b-128 in hex of an image's bytes or of a frame's planes, None where none were read. `frame` says
    which frame it is. `is_last`: the source gives no more.
    """

    source: Source
    tag: T
    content: str | None
    result: Decoded | Skipped | VideoEnd
    frame: FramePlace | None = None
    is_last: bool = True


@dataclass(frozen=True, slots=True)
class Reader:
    """How sources are read on this machine.

    Memory: at most `inflight_bytes` of undecoded bodies (or one larger body) and `lookahead` decoded images, besides
    what `videos` states and the decoding processes, each bounded by `limits.decode_memory_bytes`.
    """

    store: ObjectStore
    decoders: Decoders
    limits: Limits
    fetch_threads: int
    inflight_bytes: int
    lookahead: int
    videos: VideoReader

    def read(self, wanted: Iterable[Wanted[T]]) -> Generator[Read[T]]:
        """Return what each wanted source gives, in the same order.

        Raises:
            StorageError: the store failed for good; a missing or changed object is a skipped source, not an error.
        """
        for kind, some in groupby(wanted, key=lambda item: kind_of(item.source.key)):
            reads = (self._videos if kind == "video" else self._images)(some)
            with closing(reads):
                yield from reads

    def _videos(self, wanted: Iterable[Wanted[T]]) -> Generator[Read[T]]:
        asked = (WantedVideo(item.source, item.request, item.tag) for item in wanted)
        with closing(self.videos.read(asked)) as results:
            for item, result in results:
                if isinstance(result, SampledFrame):
                    given, place = result.result, result.place
                    yield Read(item.source, item.tag, result.content, given, place, is_last=False)
                else:
                    yield Read(item.source, item.tag, None, result)

    def _images(self, wanted: Iterable[Wanted[T]]) -> Generator[Read[T]]:
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
