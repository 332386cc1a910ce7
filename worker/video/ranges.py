"""Bytes of stored objects for decoders that seek: read by ranges, kept in bounded memory, fetched ahead of the decoder."""

from bisect import bisect_right, insort
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Condition
from typing import Self

from worker.samples import Source
from worker.storage.store import ObjectStore
from worker.video.scanned import Traffic

Span = tuple[int, int]
"""Bytes [start, stop) of an object."""

BLOCK_BYTES = 64 * 2**10
"""What one read out of order fetches at least."""

PIECE_BYTES = 4 * 2**20
"""What one GET of a part fetches at most."""

WHOLE_BYTES = 32 * 2**20
"""Objects up to this size are read in one GET where most of them is wanted."""

ANSWER_BYTES = 2**20
"""What one call of `RangeReader.read` returns at most, unless more is asked for."""

_REQUEST_BYTES = 2**20  # a GET costs about as long as so many bytes take
_JOINED_GAP_BYTES = 256 * 2**10
_AHEAD_BYTES = 8 * 2**20
_AHEAD_PIECES = 8
_GROWTH = 4
_THREADS = 16


class RangeCache:
    """What is known of any number of objects, shared by all readers of a process. Safe to use from several threads.

    Memory: at most `capacity_bytes` of what was read or is being read, the longest unused going first, besides one answer
    a reader. A reader that finds no room waits until another's GET has ended. A few hundred bytes an object stay until
    `forget`.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self._objects: dict[tuple[str, str, str], _Object] = {}
        self._unused: OrderedDict[_Piece, _Object] = OrderedDict()
        self._used_bytes = 0
        self._readers = 0
        self._changed = Condition()
        self._fetchers = ThreadPoolExecutor(_THREADS, thread_name_prefix="ranges")

    def close(self) -> None:
        """Stop fetching; no reader may be left."""
        self._fetchers.shutdown(cancel_futures=True)

    @property
    def used_bytes(self) -> int:
        """How many bytes are held or under way."""
        return self._used_bytes

    def reader(self, store: ObjectStore, source: Source) -> "RangeReader":
        """Return a reader of one object, to be closed after use."""
        with self._changed:
            self._readers += 1
            known = self._objects.setdefault(
                (store.url, source.key, source.etag), _Object(store, source.key, source.etag, source.size)
            )
        return RangeReader(self, known)

    def traffic(self, source: Source) -> Traffic:
        """Return what was read of an object since it was last forgotten."""
        with self._changed:
            found = self._of(source)
            return Traffic(
                "whole" if any(one.whole for one in found) else "ranges",
                sum(one.bytes_read for one in found),
                sum(one.requests for one in found),
            )

    def forget(self, source: Source) -> None:
        """Let go of an object's bytes and of its traffic."""
        with self._changed:
            for one in self._of(source):
                self._drop(one)
                del self._objects[one.store.url, one.key, one.etag]
            self._changed.notify_all()

    def _of(self, source: Source) -> "list[_Object]":
        return [one for one in self._objects.values() if (one.key, one.etag) == (source.key, source.etag)]

    def closed(self) -> None:
        """Note that a reader has gone."""
        with self._changed:
            self._readers -= 1

    def ahead_bytes(self) -> int:
        """Return how far one reader may fetch ahead, so that all together leave room for each other."""
        return min(_AHEAD_BYTES, self.capacity_bytes // (4 * max(1, self._readers)))

    def piece(self, known: "_Object", span: Span, *, position: int, wait: bool) -> "_Piece | None":
        """Return the piece that holds a position, fetched as (a part of) `span` where there is none.

        Without `wait`: None where there is no room for it now.
        """
        with self._changed:
            while True:
                found = known.at(position)
                if found is not None:
                    if found in self._unused:
                        self._unused.move_to_end(found)
                    return found
                start, stop = known.gap(span, position)
                if self._make_room(stop - start):
                    return self._begin(known, start, stop)
                if not wait:
                    return None
                self._changed.wait()

    def whole(self, known: "_Object") -> None:
        """Fetch an object in one GET, unless there is no room or that was done already."""
        with self._changed:
            if any(piece.stop - piece.start == known.size for piece in known.pieces):
                return
            self._drop(known)
            if self._make_room(known.size):
                known.whole = True
                self._begin(known, 0, known.size)

    def _make_room(self, wanted_bytes: int) -> bool:
        while self._used_bytes + wanted_bytes > self.capacity_bytes and self._unused:
            piece, owner = self._unused.popitem(last=False)
            owner.pieces.remove(piece)
            self._used_bytes -= piece.stop - piece.start
        return self._used_bytes + wanted_bytes <= self.capacity_bytes

    def _begin(self, known: "_Object", start: int, stop: int) -> "_Piece":
        piece = _Piece(start, stop)
        insort(known.pieces, piece, key=_start)
        self._used_bytes += stop - start
        self._fetchers.submit(self._fetch, known, piece)
        return piece

    def _fetch(self, known: "_Object", piece: "_Piece") -> None:
        try:
            body = known.read(piece)
        except BaseException as error:  # noqa: BLE001  # whoever waits for the piece raises it
            with self._changed:
                self._used_bytes -= piece.stop - piece.start
                if piece in known.pieces:
                    known.pieces.remove(piece)
                self._changed.notify_all()
            piece.body.set_exception(error)
            return
        with self._changed:
            known.bytes_read += len(body)
            known.requests += 1
            if piece in known.pieces:
                self._unused[piece] = known
            else:  # dropped while it was under way
                self._used_bytes -= piece.stop - piece.start
            self._changed.notify_all()
        piece.body.set_result(body)

    def _drop(self, known: "_Object") -> None:
        for piece in known.pieces:
            if piece in self._unused:
                del self._unused[piece]
                self._used_bytes -= piece.stop - piece.start
        known.pieces.clear()


class RangeReader:
    """One decoder's way through an object. Not for several threads at once.

    Spans that were announced (`expect`) are fetched as they are, nearby ones joined. Beside them a read out of order
    fetches little, and reads in order ever more and ahead of the decoder.
    """

    def __init__(self, cache: RangeCache, known: "_Object") -> None:
        self._cache = cache
        self._known = known
        self._expected: list[Span] = []
        self._position = 0
        self._run_bytes = 0
        """How much was read in order up to the position."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cache.closed()

    def expect(self, spans: Sequence[Span]) -> None:
        """Say what will be read, in place of what was said before; an object of which most is wanted is read whole."""
        self._expected = joined(spans, gap=_JOINED_GAP_BYTES)
        size = self._known.size
        missing = sum(self._known.missing_bytes(span) for span in self._expected)
        cost = missing + _REQUEST_BYTES * len(self._expected)
        if size <= WHOLE_BYTES and missing and (2 * missing >= size or cost >= size + _REQUEST_BYTES):
            self._cache.whole(self._known)

    def expect_all(self) -> None:
        """Say that all of it will be read."""
        self.expect([(0, self._known.size)])

    def read(self, start: int, count: int) -> bytes:
        """Return bytes from `start`: one at least, what is at hand up to ANSWER_BYTES or `count`; none at the end.

        Raises:
            StorageError: the store failed, or the object is gone (ObjectMissing) or another one (ObjectChanged).
        """
        if start >= self._known.size:
            return b""
        if self._known.size <= _REQUEST_BYTES:
            self._cache.whole(self._known)
        if not self._position - ANSWER_BYTES <= start <= self._position + BLOCK_BYTES:
            self._position, self._run_bytes = start, 0
        piece = self._cache.piece(self._known, self._span(start, count), position=start, wait=True)
        assert piece is not None  # noqa: S101  # it was waited for
        self._fetch_ahead(piece)
        offset = start - piece.start
        answer = piece.body.result()[offset : offset + max(count, ANSWER_BYTES)]
        self._run_bytes += max(0, start + len(answer) - self._position)
        self._position = start + len(answer)
        return answer

    @property
    def _step(self) -> int:
        """How much a GET fetches where nothing was announced: as much as was read in order, within bounds."""
        whole_blocks = self._run_bytes - self._run_bytes % BLOCK_BYTES
        return min(PIECE_BYTES, max(BLOCK_BYTES, whole_blocks))

    def _span(self, start: int, count: int) -> Span:
        expected = self._expected_at(start)
        if expected is not None:
            return start, min(expected[1], start + PIECE_BYTES)
        first = start - start % BLOCK_BYTES
        return first, min(self._known.size, max(first + self._step, start + min(count, PIECE_BYTES)))

    def _expected_at(self, position: int) -> Span | None:
        index = bisect_right(self._expected, position, key=_first) - 1
        return self._expected[index] if index >= 0 and position < self._expected[index][1] else None

    def _fetch_ahead(self, piece: "_Piece") -> None:
        left = self._cache.ahead_bytes()
        if not self._expected:
            left = min(left, self._run_bytes)
        for _, span in zip(range(_AHEAD_PIECES), self._upcoming(piece.stop), strict=False):
            left -= span[1] - span[0]
            if left < 0 or self._cache.piece(self._known, span, position=span[0], wait=False) is None:
                return

    def _upcoming(self, position: int) -> Iterator[Span]:
        """Yield what comes after a position: the rest of what is expected, else what follows a read in order."""
        if self._expected:
            first = bisect_right(self._expected, position, key=_first) - 1
            for start, stop in self._expected[max(0, first) :]:
                for at in range(max(start, position), stop, PIECE_BYTES):
                    yield at, min(stop, at + PIECE_BYTES)
        else:
            for at in range(position, self._known.size, self._step):
                yield at, min(self._known.size, at + self._step)


def joined(spans: Sequence[Span], *, gap: int) -> list[Span]:
    """Return the same bytes as ascending spans, those with less than `gap` between them as one."""
    result: list[Span] = []
    for start, stop in sorted(spans):
        if result and start - result[-1][1] < gap:
            result[-1] = (result[-1][0], max(result[-1][1], stop))
        else:
            result.append((start, stop))
    return result


@dataclass(eq=False, slots=True)
class _Piece:
    start: int
    stop: int
    body: Future[bytes] = field(default_factory=Future)


@dataclass(eq=False, slots=True)
class _Object:
    """One object: its pieces, ascending and apart from each other, and what was read of it."""

    store: ObjectStore
    key: str
    etag: str
    size: int
    pieces: list[_Piece] = field(default_factory=list)
    whole: bool = False
    bytes_read: int = 0
    requests: int = 0

    def at(self, position: int) -> _Piece | None:
        """Return the piece that holds a position."""
        index = bisect_right(self.pieces, position, key=_start) - 1
        return self.pieces[index] if index >= 0 and position < self.pieces[index].stop else None

    def gap(self, span: Span, position: int) -> Span:
        """Return what of a span lies around a position that no piece holds, between the pieces."""
        index = bisect_right(self.pieces, position, key=_start)
        before = self.pieces[index - 1].stop if index else 0
        after = self.pieces[index].start if index < len(self.pieces) else self.size
        return max(span[0], before), min(span[1], after)

    def missing_bytes(self, span: Span) -> int:
        """Return how many bytes of a span no piece holds."""
        held = sum(max(0, min(span[1], piece.stop) - max(span[0], piece.start)) for piece in self.pieces)
        return span[1] - span[0] - held

    def read(self, piece: _Piece) -> bytes:
        """Read a piece from the store, in one GET."""
        if piece.stop - piece.start == self.size:
            return self.store.get(self.key, etag=self.etag, size=self.size)
        return self.store.get_range(self.key, piece.start, piece.stop, etag=self.etag, size=self.size)


def _start(piece: _Piece) -> int:
    return piece.start


def _first(span: Span) -> int:
    return span[0]
