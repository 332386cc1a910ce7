"""Frames by their addresses, read once more: for the pictures of a report, and as files for whoever labels them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from worker.ahead import ahead
from worker.findings import FrameAddress
from worker.media.images import DecodeRequest, ImageFormat
from worker.publish import Results
from worker.samples import Decoded, Skipped, Source
from worker.video.reading import VideoReader, WantedFrames

FOLDER = "frames/"
MEDIA_TYPES: Mapping[ImageFormat, str] = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}
PUTS_AHEAD = 8


def read_frames(
    names: Iterable[str],
    addresses: Mapping[str, FrameAddress],
    *,
    sources: Mapping[str, Source],
    videos: VideoReader,
    request: DecodeRequest,
) -> Iterator[tuple[str, Decoded | Skipped]]:
    """Yield what the frames among some samples give, video by video, each in displayed order.

    `sources` are the videos by their keys. Memory: the results of a few frames. Raises StorageError where the store failed for good.
    """
    by_video: dict[tuple[str, int], dict[int, str]] = defaultdict(dict)
    for name in names:
        if (at := addresses.get(name)) is not None:
            by_video[at.source, at.stream][at.pts] = name
    scanned = {at.source for at in addresses.values() if not at.is_sought}
    wanted = [
        WantedFrames(sources[key], stream, sorted(of_pts), is_scanned=key in scanned)
        for (key, stream), of_pts in sorted(by_video.items())
    ]
    for source, stream, frame in videos.frames(wanted, request):
        yield by_video[source.key, stream][frame.pts], frame.result


def write_frames(
    names: Iterable[str],
    addresses: Mapping[str, FrameAddress],
    *,
    image_format: ImageFormat,
    sources: Mapping[str, Source],
    videos: VideoReader,
    results: Results,
) -> tuple[int, list[str]]:
    """Write the frames among some samples as images below FOLDER of the results; return how many, and what failed.

    A frame's file is called as its sample, with the ending of the format.
    """
    request = DecodeRequest(image_format=image_format)
    failed: list[str] = []

    def images() -> Iterator[tuple[str, bytes]]:
        found = read_frames(names, addresses, sources=sources, videos=videos, request=request)
        for name, result in found:
            if isinstance(result, Decoded) and result.image is not None:
                yield file_name(name, image_format), result.image
            elif isinstance(result, Skipped):
                failed.append(f"{name}: {result.reason.value}: {result.detail}")

    def put(image: tuple[str, bytes]) -> None:
        name, body = image
        results.before_put()
        results.store.put(f"{results.prefix}{FOLDER}{name}", body, media_type=MEDIA_TYPES[image_format])

    written = sum(1 for _ in ahead(put, images(), threads=PUTS_AHEAD, depth=PUTS_AHEAD))
    return written, failed


def file_name(name: str, image_format: str) -> str:
    """Return the name of a frame's file: sample names end in .png whatever the format."""
    return f"{name.removesuffix('.png')}.{image_format}"
