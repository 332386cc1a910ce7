"""A file to the video stream in it, by FFmpeg, which is let near nothing but that file and the decoders named here."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NoReturn, Protocol

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Discard, Disposition, Stream
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from worker.media.limits import Limits
from worker.media.pictures import Unreadable
from worker.samples import SkipReason
from worker.video.boxes import Boxes
from worker.video.scanned import Header

CODECS = ("h264", "hevc", "av1", "vp9", "vp8", "mjpeg", "mpeg1video", "mpeg2video", "mpeg4")
"""What is decoded, by FFmpeg's names."""

_CONTAINERS = {
    "mov,mp4,m4a,3gp,3g2,mj2": "mp4",
    "matroska,webm": "matroska",
    "avi": "avi",
    "mpegts": "mpegts",
    "mpeg": "mpeg",
    "mpegvideo": "mpegvideo",
    "h264": "h264",
    "hevc": "hevc",
    "m4v": "m4v",
}
"""FFmpeg's formats that are opened, and what they are called here."""

_MP4_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"moof"}
_BEGINNINGS = (b"\x1a\x45\xdf\xa3", b"RIFF", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3")
_GENERATE_PTS = 1  # AVFMT_FLAG_GENPTS, which PyAV sets
_DEFAULT_RATE = Fraction(25)

_CLOSED = {
    "format_whitelist": ",".join(_CONTAINERS),
    "codec_whitelist": ",".join((*CODECS, "libdav1d")),
    "protocol_whitelist": "",
    "fpsprobesize": "0",  # the rate is not worth reading twenty frames for
}
_STRICT = {"err_detect": "crccheck+bitstream+buffer+explode", "threads": "1"}


class File(Protocol):
    """What FFmpeg reads from."""

    size: int

    def read(self, count: int) -> bytes:
        """Return up to `count` bytes; none at the end."""
        ...

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move, and return the new position."""
        ...

    def tell(self) -> int:
        """Return the position."""
        ...

    def read_at(self, start: int, count: int) -> bytes:
        """Return bytes from a position, which stays."""
        ...


@dataclass(frozen=True, slots=True)
class Opened:
    """A video that is open: its container, of which only `stream` is read."""

    file: File
    container: InputContainer
    stream: VideoStream
    header: Header
    own_duration_s: float | None
    """What the file promises of this very stream."""


def open_video(file: File, limits: Limits, *, stream: int | None) -> Opened:
    """Open a file and choose a stream: the one named, else FFmpeg's best that is no attached picture.

    Raises Unreadable. Reads what FFmpeg needs to know the streams: an MP4's index and its first frames.
    """
    head = file.read_at(0, 64)
    # FFmpeg's parsers overrule the key frames of an MP4's index by what they find in the frames.
    options = {**_CLOSED, "fflags": "noparse"} if is_mp4(head) else _CLOSED
    try:
        container = av.open(file, "r", options=options, io_open=_refuse, metadata_errors="ignore")
    except FFmpegError as error:
        raise _unreadable(error, file, head) from error
    try:
        return _opened(file, container, limits, stream)
    except BaseException:
        container.close()
        raise


def open_index(file: File, *, stream: int) -> tuple[InputContainer, VideoStream]:
    """Open an MP4 whose index alone can be read, for its packets; no decoder sees any of it.

    Raises:
        FFmpegError: it cannot be opened.
    """
    options = {
        "format_whitelist": next(iter(_CONTAINERS)),
        "codec_whitelist": "none",
        "protocol_whitelist": "",
        "fflags": "noparse",
        "probesize": "32",
        "analyzeduration": "1",
    }
    container = av.open(file, "r", options=options, io_open=_refuse, metadata_errors="ignore")
    chosen = container.streams[stream]
    assert isinstance(chosen, VideoStream)  # noqa: S101  # it was one when the file was opened for its header
    _discard_others(container, chosen)
    return container, chosen


def is_mp4(head: bytes) -> bool:
    """Tell an MP4 or a QuickTime movie by its first bytes."""
    return head[4:8] in _MP4_BOXES


def _opened(file: File, container: InputContainer, limits: Limits, index: int | None) -> Opened:
    stream = _chosen(container, index)
    context: VideoCodecContext | None = stream.codec_context  # none where FFmpeg has no decoder
    codec = "an unknown codec" if context is None else context.codec.canonical_name
    if context is None or codec not in CODECS:
        raise Unreadable(SkipReason.UNSUPPORTED_FORMAT, f"{codec}; decoded are {', '.join(CODECS)}")
    width, height = context.width, context.height
    if width * height > limits.max_pixels:
        text = f"{width} x {height} = {width * height} pixels; the limit is {limits.max_pixels}"
        raise Unreadable(SkipReason.TOO_MANY_PIXELS, text)
    strict = {**_STRICT, **({"strict": "strict"} if codec == "h264" else {})}
    context.options = {**strict, "max_pixels": str(limits.max_pixels)}
    _discard_others(container, stream)
    container.flags &= ~_GENERATE_PTS  # times that a file does not have are made up, at times wrongly
    own_duration_s = _own_duration_s(container, stream)
    whole_s = container.duration / av.time_base if container.duration else None
    header = Header(
        container=_CONTAINERS[container.format.name],
        codec=codec,
        stream=stream.index,
        time_base=stream.time_base or 1 / _DEFAULT_RATE,
        width=width,
        height=height,
        duration_s=own_duration_s if own_duration_s is not None else whole_s,
        frames_promised=stream.frames or None,
        timed=True,
    )
    return Opened(file, container, stream, header, own_duration_s)


def rate_of(stream: VideoStream) -> Fraction:
    """Return frames a second as the stream says or FFmpeg guesses; 25 where neither knows."""
    return stream.guessed_rate or stream.average_rate or _DEFAULT_RATE


def _chosen(container: InputContainer, index: int | None) -> VideoStream:
    if index is not None:
        found = container.streams[index] if index < len(container.streams) else None
        if not isinstance(found, VideoStream):
            raise Unreadable(SkipReason.NOT_A_VIDEO, f"stream {index} is no video")
        return found
    candidates = [one for one in container.streams.video if not _is_cover(one)]
    if not candidates:
        raise Unreadable(SkipReason.NOT_A_VIDEO, "no video stream in it")
    best = container.streams.best("video")
    if isinstance(best, VideoStream) and not _is_cover(best):
        return best
    return max(candidates, key=lambda one: (one.width * one.height, -one.index))


def _is_cover(stream: Stream) -> bool:
    return bool(stream.disposition & (Disposition.attached_pic | Disposition.still_image))


def _discard_others(container: InputContainer, chosen: Stream) -> None:
    for stream in container.streams:
        if stream.index != chosen.index:
            stream.discard = Discard.all


def _own_duration_s(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    tag = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if tag:
        return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3])
    is_alone = sum(one.type in {"video", "audio"} for one in container.streams) == 1
    return container.duration / av.time_base if container.duration and is_alone else None


def _unreadable(error: FFmpegError, file: File, head: bytes) -> Unreadable:
    if is_mp4(head) and not Boxes(file.read_at, file.size).has(b"moov"):
        detail = f"the index (moov) is missing in its {file.size:,} bytes: the recording was cut off"
        return Unreadable(SkipReason.TRUNCATED, detail)
    if is_mp4(head) or head.startswith(_BEGINNINGS):
        return Unreadable(SkipReason.CORRUPT, f"its beginning cannot be read: {error.strerror}")
    start = re.sub(rb"[^\x20-\x7e]", b".", head[:24]).decode("ascii")
    names = ", ".join(_CONTAINERS.values())
    return Unreadable(SkipReason.NOT_A_VIDEO, f"it begins with {start!r}; opened are {names}")


def _refuse(url: str, flags: int, options: dict[str, Any]) -> NoReturn:
    """Open nothing else, whatever a file names."""
    del flags, options
    raise PermissionError(f"a video may not open {url[:100]!r}")
