"""Where a video is cut: at the first key frame of each minute, whatever the size of a chunk is."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from worker.samples import Segment, SkipReason, Source
from worker.video.scanned import Scan

SEGMENT_S = 60
"""Seconds between cuts, at least."""

PLANNED_BYTES = 32 * 2**20
"""A video from this size on is cut when it is planned; smaller ones are chunks' business as a whole."""

CHUNK_SEGMENTS = 5
"""Segments in a chunk, at most."""


def marks(key_frames: NDArray[np.int64], *, origin: int, time_base: Fraction) -> NDArray[np.int64]:
    """Return the ascending pts of the first key frame in or after each minute but the first."""
    if not len(key_frames):
        return key_frames
    minute = SEGMENT_S / time_base
    count = int((int(key_frames[-1]) - origin) / minute)
    borders = np.array([origin + -(-(n * minute) // 1) for n in range(1, count + 1)], np.int64)
    return np.unique(key_frames[np.searchsorted(key_frames, borders)])


def whole(scan: Scan) -> Segment:
    """Return the segment that is the whole video."""
    displayed = scan.packets.displayed()
    return Segment(scan.header.stream, None, None, 0, len(displayed), int(displayed[0]))


def cut(scan: Scan) -> tuple[Segment, ...]:
    """Return a whole video as its segments, each frame in exactly one; a single one where it is short."""
    displayed = scan.packets.displayed()
    origin = int(displayed[0])
    starts = marks(scan.packets.key_frames(), origin=origin, time_base=scan.header.time_base)
    if not scan.header.timed or any(fault.reason is SkipReason.BAD_TIMESTAMPS for fault in scan.faults):
        starts = starts[:0]  # it can only be decoded from its beginning
    starts = starts[starts < displayed[-1]]  # how long the last frame is displayed, the one before it tells
    borders: list[int | None] = [None, *starts.tolist(), None]
    indices = [0, *np.searchsorted(displayed, starts).tolist()]
    return tuple(
        Segment(scan.header.stream, start, end, first_index, len(displayed), origin)
        for (start, end), first_index in zip(pairwise(borders), indices, strict=True)
    )


def cut_at(key_frames: Sequence[int], *, stream: int) -> tuple[Segment, ...]:
    """Return segments that start at these ascending key frames, of which the first is the first frame of all.

    No frame was counted to find them.
    """
    origin = key_frames[0]
    borders: list[int | None] = [None, *key_frames[1:], None]
    return tuple(Segment(stream, start, end, None, None, origin) for start, end in pairwise(borders))


def in_chunks(
    source: Source, segments: Sequence[Segment], *, samples: NDArray[np.int64] | None, most_samples: int
) -> Iterator[tuple[Source, ...]]:
    """Yield the segments of a video in runs: up to CHUNK_SEGMENTS, or until there are `most_samples` or more.

    `samples` are the ascending pts of the samples of the whole video, None where nobody knows them.
    """
    run: list[Source] = []
    count = 0
    for segment in segments:
        run.append(Source(source.key, source.etag, source.size, segment))
        count += 0 if samples is None else _count_in(samples, segment)
        if len(run) == CHUNK_SEGMENTS or count >= most_samples:
            yield tuple(run)
            run, count = [], 0
    if run:
        yield tuple(run)


def _count_in(samples: NDArray[np.int64], segment: Segment) -> int:
    first = 0 if segment.start is None else int(np.searchsorted(samples, segment.start))
    end = len(samples) if segment.end is None else int(np.searchsorted(samples, segment.end))
    return end - first
