"""Videos to sampled frames: scanned ahead, decoded by several processes at once, handed on in order."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from jobs.blocks import Video
from worker.ahead import ahead
from worker.media.images import DecodeRequest
from worker.samples import Decoded, Segment, Skipped, Source
from worker.storage.store import ObjectStore
from worker.streams import streams_ahead
from worker.video.names import frame_name
from worker.video.near_identical import NearIdenticalFilter
from worker.video.processes import VideoDecoders
from worker.video.sampling import sampled
from worker.video.scanned import Fault, Frame, Header, KeyFrames, Packets, Scan, Traffic
from worker.video.segments import PLANNED_BYTES, marks, whole

T = TypeVar("T")
Pts = NDArray[np.int64]

RUN_FRAMES = 48
"""Sampled frames that one process decodes in one go, about: those of whole groups of pictures."""


WHOLE_PICTURES = 2
"""Results that wait where each may be a picture at full size."""


@dataclass(frozen=True, slots=True)
class WantedVideo(Generic[T]):
    """A video, or a segment of one, what to make of its frames, and a tag by which the caller knows it again."""

    source: Source
    request: DecodeRequest
    tag: T


@dataclass(frozen=True, slots=True)
class WantedFrames:
    """Frames of one stream of a whole video by their ascending pts.

    Where the container has an index or the video is small it is scanned first, which says where the frames are; a large
    one is sought through, unless `is_scanned`.
    """

    source: Source
    stream: int
    pts: Sequence[int]
    is_scanned: bool


@dataclass(frozen=True, slots=True)
class FramePlace:
    """Which frame a sample is. `index` counts the displayed frames of the video, None where nobody has counted."""

    name: str
    stream: int
    index: int | None
    pts: int
    time_s: float


@dataclass(frozen=True, slots=True)
class SampledFrame:
    """One sampled frame: which one it is, the digest of its planes, and what it gave."""

    place: FramePlace
    content: str | None
    result: Decoded | Skipped


@dataclass(frozen=True, slots=True)
class VideoEnd:
    """What is known of a video, or of the video of a segment, once its frames were read."""

    frames: int | None
    duration_s: float | None
    timed: bool
    faults: tuple[Fault, ...]
    traffic: Traffic


Result = SampledFrame | Skipped | VideoEnd


@dataclass(frozen=True, slots=True)
class VideoReader:
    """How videos are read on this machine. `threads` is the number of decoding processes.

    Memory: `threads` times RUN_FRAMES decoded frames, and the packets of four videos (26 bytes each), besides the
    processes and their cache.
    """

    store: ObjectStore
    decoders: VideoDecoders
    video: Video
    threads: int

    def read(self, wanted: Iterable[WantedVideo[T]]) -> Generator[tuple[WantedVideo[T], Result]]:
        """Yield the sampled frames of each video in displayed order and then its end; or why there are none.

        Raises:
            StorageError: the store failed for good; a missing or changed object is a skipped source, not an error.
        """
        runs = (run for item in self._scanned(wanted) for run in _runs(item))
        scene = _Scene(self.video)
        for run, frame in streams_ahead(self._frames, runs, threads=self.threads, buffer=RUN_FRAMES):
            item = run.item
            if frame is not None:
                yield item.wanted, scene.frame(item, frame)
            else:
                yield item.wanted, self._ended(item)

    def _ended(self, item: "_Item[T]") -> Skipped | VideoEnd:
        """Return how a video, or segment, ended; after the last segment nothing more is kept of it."""
        source, scan = item.wanted.source, item.scan
        traffic = self.decoders.traffic(source)
        if source.segment is None or source.segment.end is None:
            self.decoders.forget(source)
        if isinstance(scan, Skipped):
            return scan
        header = scan.header
        return VideoEnd(item.segment.frames, header.duration_s, header.timed, scan.faults, traffic)

    def frames(
        self, wanted: Iterable[WantedFrames], request: DecodeRequest
    ) -> Generator[tuple[Source, int, Frame]]:
        """Yield single frames: the source, the stream and the frame, each source's in displayed order.

        Memory: `threads` times WHOLE_PICTURES results, which may be pictures at full size. The frames of a video that can no longer be opened are skipped.

        Raises:
            StorageError: the store failed for good.
        """
        read = partial(self._single_frames, request=request)
        yield from streams_ahead(read, wanted, threads=self.threads, buffer=WHOLE_PICTURES)

    def _single_frames(
        self, item: WantedFrames, *, request: DecodeRequest
    ) -> Iterator[tuple[Source, int, Frame]]:
        whole = replace(item.source, segment=Segment(item.stream))
        opened: Scan | KeyFrames | Skipped = self.decoders.key_frames_after(self.store, whole, ())
        if isinstance(opened, KeyFrames) and (
            item.is_scanned or opened.header.has_index or item.source.size < PLANNED_BYTES
        ):
            opened = self.decoders.scan(self.store, whole)
        if isinstance(opened, Skipped):
            yield from ((item.source, item.stream, Frame(pts, None, None, opened)) for pts in item.pts)
            return
        packets = opened.packets if isinstance(opened, Scan) else None
        for frame in self.decoders.frames(
            self.store, item.source, opened.header, item.pts, request, packets=packets
        ):
            yield item.source, item.stream, frame

    def _scanned(self, wanted: Iterable[WantedVideo[T]]) -> Iterator["_Item[T]"]:
        def scanned(one: WantedVideo[T]) -> _Item[T]:
            return _looked_at(one, self.decoders.scan(self.store, one.source), self.video)

        return ahead(scanned, wanted, threads=1, depth=2)

    def _frames(self, run: "_Run[T]") -> Iterator[tuple["_Run[T]", Frame | None]]:
        """Yield the frames of a run; after the last run of a video, None."""
        item = run.item
        if len(run.pts) and isinstance(item.scan, Scan):
            frames = self.decoders.frames(
                self.store,
                item.wanted.source,
                item.scan.header,
                run.pts.tolist(),
                item.wanted.request,
                packets=item.packets,
            )
            for frame in frames:
                yield run, frame
        if run.is_last:
            yield run, None


@dataclass(frozen=True, slots=True)
class _Item(Generic[T]):
    """A scanned video, or segment, and which of its displayed frames are samples."""

    wanted: WantedVideo[T]
    scan: Scan | Skipped
    segment: Segment
    packets: Packets | None
    displayed: Pts
    pts: Pts
    marks: frozenset[int]
    """Where the comparison of frames with the last one kept begins again."""

    @property
    def header(self) -> Header:
        """Of a video that was scanned."""
        if isinstance(self.scan, Skipped):
            raise TypeError("a skipped video has no header")
        return self.scan.header


@dataclass(frozen=True, slots=True)
class _Run(Generic[T]):
    item: _Item[T]
    pts: Pts
    is_last: bool


def _looked_at(wanted: WantedVideo[T], scan: Scan | Skipped, video: Video) -> _Item[T]:
    if isinstance(scan, Skipped):
        nothing = np.empty(0, np.int64)
        return _Item(wanted, scan, Segment(0), None, nothing, nothing, frozenset())
    segment = wanted.source.segment or whole(scan)
    packets = scan.packets.between(segment.start, segment.end)
    displayed = packets.displayed()
    pts = sampled(packets, video.sampling, time_base=scan.header.time_base, segment=segment)
    cuts = marks(packets.key_frames(), origin=segment.origin or 0, time_base=scan.header.time_base)
    return _Item(wanted, scan, segment, packets, displayed, pts, _first_from(cuts, pts))


def _first_from(cuts: Pts, pts: Pts) -> frozenset[int]:
    """Return the first sample at or after each cut, and the very first one."""
    at = np.searchsorted(pts, cuts)
    return frozenset([*pts[:1].tolist(), *pts[at[at < len(pts)]].tolist()])


def _runs(item: _Item[T]) -> Iterator[_Run[T]]:
    """Cut the samples of a video where a group of pictures ends; a stream without timestamps is one run."""
    borders = [0, len(item.pts)]
    if item.packets is not None and len(item.pts) and item.header.timed:
        group = np.searchsorted(item.packets.key_frames(), item.pts, side="right")
        borders = [0]
        for change in (np.flatnonzero(np.diff(group)) + 1).tolist():
            if change - borders[-1] >= RUN_FRAMES:
                borders.append(change)
        borders.append(len(item.pts))
    for start, stop in pairwise(borders):
        yield _Run(item, item.pts[start:stop], is_last=stop == borders[-1])


class _Scene:
    """Names frames as they come, and leaves out what looks like the one before, where that is asked for."""

    def __init__(self, video: Video) -> None:
        asked = video.drop_near_identical
        self._filter = None if asked is None else NearIdenticalFilter(asked.max_difference)

    def frame(self, item: _Item[T], frame: Frame) -> SampledFrame:
        header, segment = item.header, item.segment
        index = None
        if segment.first_index is not None:
            index = segment.first_index + int(np.searchsorted(item.displayed, frame.pts))
        name = frame_name(item.wanted.source.key, index=index, pts=frame.pts, frames=segment.frames)
        result = frame.result
        if self._filter is not None:
            if frame.pts in item.marks:
                self._filter.restart()
            if isinstance(result, Decoded) and frame.signature is not None:
                result = self._filter.skipped(name, frame.signature) or result
        place = FramePlace(name, header.stream, index, frame.pts, float(frame.pts * header.time_base))
        return SampledFrame(place, frame.content, result)
