"""Packets of an open video from a place on: FFmpeg's seeks land near a time, not at it."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import TypeAlias

from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

RAW_CONTAINERS = frozenset({"h264", "hevc", "m4v", "mpegvideo"})
"""Bare streams, which have no times of their own: whatever FFmpeg says is made up on the way."""

VideoPacket: TypeAlias = "Packet[VideoStream]"

_VP8_SHOWN = 0x10
_EARLIEST = -(2**60)
_STEPS_BACK_S = (0, 1, 4, 16, 64)
_ERRORS_IN_A_ROW = 16


def packets(container: InputContainer, stream: VideoStream) -> Iterator[VideoPacket]:
    """Yield the packets from where the container stands, in decode order. What cannot be read is passed over."""
    failures = 0
    while failures < _ERRORS_IN_A_ROW:
        try:
            for packet in container.demux(stream):
                if packet.size:
                    failures = 0
                    yield packet
        except (FFmpegError, IndexError):  # a damaged packet may name a stream that there is not
            failures += 1
        else:
            return


def is_shown_vp8(packet: VideoPacket) -> bool:
    """Tell whether a packet of VP8 is displayed; its header says so."""
    return bool(memoryview(packet)[0] & _VP8_SHOWN)


def rewind(container: InputContainer, stream: VideoStream, kind: str) -> None:
    """Go to the very beginning.

    Raises:
        FFmpegError: this container cannot.
    """
    if kind in RAW_CONTAINERS:
        container.seek(0, stream=stream, unsupported_byte_offset=True)
    elif kind == "avi":
        container.seek(stream.start_time or 0, stream=stream)
    else:
        container.seek(_EARLIEST, stream=stream)


def packets_from(
    container: InputContainer, stream: VideoStream, kind: str, time: int | None
) -> Iterator[VideoPacket]:
    """Yield packets in decode order from a key packet at or before a time, the latest that seeking finds.

    Where every seek lands behind the time, or the time is None, they come from the very beginning.
    """
    if time is not None and kind not in RAW_CONTAINERS and stream.time_base:
        for back_s in _STEPS_BACK_S:
            with suppress(FFmpegError):
                container.seek(time - round(back_s / stream.time_base), stream=stream)
                found = packets(container, stream)
                first = next((packet for packet in found if packet.is_keyframe), None)
                if first is not None and first.pts is not None and first.pts <= time:
                    return chain([first], found)
    try:
        rewind(container, stream, kind)
    except FFmpegError:  # there is nothing to go to
        return iter(())
    return packets(container, stream)
