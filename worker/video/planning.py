"""Long videos to chunks, when a job is planned."""

from collections.abc import Iterable, Sequence

from jobs.blocks import Video
from worker.ahead import ahead
from worker.samples import Segment, Skipped, Source
from worker.storage.store import ObjectStore
from worker.video.processes import VideoDecoders
from worker.video.sampling import sampled
from worker.video.segments import SEGMENT_S, cut, cut_at, in_chunks, whole

Chunks = Sequence[tuple[Source, ...]]


def cut_videos(
    store: ObjectStore,
    sources: Iterable[Source],
    decoders: VideoDecoders,
    *,
    video: Video,
    most_samples: int,
    threads: int,
) -> dict[str, Chunks]:
    """Map the keys of long videos to their segments, a tuple of them a chunk.

    Of a video with an index, the index alone is read. Others are read once, to count their frames, unless the job does
    not ask for exact numbers. What cannot be scanned stays whole: its chunk says why. Memory: the packets of `threads`
    videos (26 bytes each), and some 200 bytes a segment.

    Raises:
        StorageError: the store failed for good.
    """

    def chunks(source: Source) -> tuple[str, Chunks]:
        found = _chunks(store, source, decoders, video=video, most_samples=most_samples)
        decoders.forget(source)
        return source.key, found

    return dict(ahead(chunks, sources, threads=threads, depth=2 * threads))


def _chunks(
    store: ObjectStore, source: Source, decoders: VideoDecoders, *, video: Video, most_samples: int
) -> Chunks:
    if not video.exact_index and video.sampling.every is None:
        segments = _sought(store, source, decoders)
        if segments is not None:
            return tuple(in_chunks(source, segments, samples=None, most_samples=most_samples))
    scan = decoders.scan(store, source)
    if isinstance(scan, Skipped):
        return ((source,),)
    samples = sampled(scan.packets, video.sampling, time_base=scan.header.time_base, segment=whole(scan))
    return tuple(in_chunks(source, cut(scan), samples=samples, most_samples=most_samples))


def _sought(store: ObjectStore, source: Source, decoders: VideoDecoders) -> tuple[Segment, ...] | None:
    """Return segments found by seeking, or None where counting costs little or there is nothing to go by."""
    first = decoders.key_frames_after(store, source, [0.0])
    if isinstance(first, Skipped) or first.header.has_index or not first.header.timed:
        return None
    times = [float(time) for time in range(0, int(first.header.duration_s or 0) + 1, SEGMENT_S)]
    found = decoders.key_frames_after(store, source, times)
    if isinstance(found, Skipped):
        return None
    pts = sorted({one for one in found.pts if one is not None})
    return cut_at(pts, stream=found.header.stream) if pts else None
