"""The packets of an open video, without their pictures."""

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from worker.media.pictures import Unreadable
from worker.samples import Segment, SkipReason
from worker.video.boxes import stated_size
from worker.video.opening import Opened, open_index, rate_of
from worker.video.remote_file import SkimmedFile
from worker.video.scanned import Fault, Header, KeyFrames, Packets, Scan
from worker.video.seeking import RAW_CONTAINERS, VideoPacket, is_shown_vp8, packets_from
from worker.video.timestamps import (
    NO_TIME,
    Demuxed,
    beyond_file,
    counted_packets,
    fewer_than_promised,
    timed_packets,
    within_segment,
    without_end,
)

MAX_PACKETS = 20_000_000
"""More packets than these (a week of 30 frames a second) are not held; one takes 34 bytes while a video is scanned."""

Progress = Callable[[], None]
"""Called again and again, to tell that work goes on."""

_KEY, _HIDDEN, _DAMAGED = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Packaged:
    """Where packets come from: of an MP4 its index alone, with zeros for the frames; else the file itself."""

    container: InputContainer
    stream: VideoStream
    kind: str

    def packets_from(self, time: int | None) -> Iterator[VideoPacket]:
        """Yield packets from a key packet at or before a time; None: from the beginning."""
        return packets_from(self.container, self.stream, self.kind, time)


def packaged(opened: Opened, skimmed: Callable[[], SkimmedFile]) -> Packaged:
    """Return where the packets of an open video come from."""
    header = opened.header
    if header.container != "mp4":
        return Packaged(opened.container, opened.stream, header.container)
    return Packaged(*open_index(skimmed(), stream=header.stream), header.container)


def scan(opened: Opened, source: Packaged, segment: Segment | None, progress: Progress) -> Scan:
    """Return the packets of a video, or those of a segment with start <= pts < end.

    Raises Unreadable where there is nothing to display.
    """
    header, indexed = opened.header, opened.header.container == "mp4"
    start = segment.start if segment else None
    found = source.packets_from(start)
    if segment is not None and segment.end is not None:
        found = _until(found, segment.end)
    demuxed = _demuxed(found, progress, vp8=header.codec == "vp8")
    faults = beyond_file(demuxed, opened.file.size) if indexed else []
    is_cut_off = not indexed and stated_size(opened.file.read_at, opened.file.size) > opened.file.size
    if is_cut_off and len(demuxed):
        demuxed.hidden[-1] = True  # it ends somewhere in this packet, which not every decoder notices
    timed = header.container not in RAW_CONTAINERS and bool((demuxed.pts[~demuxed.hidden] != NO_TIME).all())
    if not timed:
        header = replace(header, timed=False, time_base=1 / rate_of(opened.stream))
        packets, more = counted_packets(demuxed)
    else:
        packets, more = timed_packets(within_segment(demuxed, segment) if segment else demuxed)
    faults += more
    if is_cut_off:
        packets = without_end(packets)
    if segment is None or (segment.start is None and segment.end is None):
        faults += _shortfalls(opened, header, demuxed, packets, indexed=indexed, known=bool(faults))
    if not packets.shown.any():
        raise _nothing(faults, len(packets.pts))
    return Scan(header, packets, tuple(faults), indexed)


def key_frames_after(opened: Opened, source: Packaged, times_s: Iterable[float]) -> KeyFrames:
    """Return for each time, in seconds from the stream's start, the first key frame that seeking finds at or after it."""
    header = opened.header
    if header.container in RAW_CONTAINERS or not source.stream.time_base:
        return KeyFrames(replace(header, timed=False, time_base=1 / rate_of(opened.stream)), ())
    origin = source.stream.start_time or 0
    found = [_key_frame_after(source, origin + round(time_s / source.stream.time_base)) for time_s in times_s]
    return KeyFrames(header, tuple(found))


def key_frame_before(source: Packaged, time: int) -> int | None:
    """Return the pts of the latest key frame that seeking finds at or before a time, None where it finds none."""
    first = next(source.packets_from(time), None)
    return first.pts if first is not None and first.is_keyframe else None


def _key_frame_after(source: Packaged, time: int) -> int | None:
    packets = source.packets_from(time)
    return next((p.pts for p in packets if p.is_keyframe and p.pts is not None and p.pts >= time), None)


def _until(found: Iterable[VideoPacket], end: int) -> Iterator[VideoPacket]:
    """Yield packets until none can follow that is displayed before `end`, the time of a key frame.

    After that key frame come those displayed before it, if any, and then one that is displayed after it.
    """
    after_end = False
    for packet in found:
        if after_end and packet.pts is not None and packet.pts >= end:
            return
        after_end = after_end or (packet.is_keyframe and packet.pts is not None and packet.pts >= end)
        yield packet


def _demuxed(found: Iterable[VideoPacket], progress: Progress, *, vp8: bool) -> Demuxed:
    times, decode_times, places, sizes, flags = array("q"), array("q"), array("q"), array("q"), bytearray()
    for packet in found:
        if len(flags) == MAX_PACKETS:
            raise Unreadable(SkipReason.TOO_MANY_BYTES, f"more than {MAX_PACKETS:,} packets")
        times.append(NO_TIME if packet.pts is None else packet.pts)
        decode_times.append(NO_TIME if packet.dts is None else packet.dts)
        places.append(-1 if packet.pos is None else packet.pos)
        sizes.append(packet.size)
        hidden = packet.is_discard or (vp8 and not is_shown_vp8(packet))
        flags.append(_KEY * packet.is_keyframe | _HIDDEN * hidden | _DAMAGED * packet.is_corrupt)
        progress()
    marks = np.frombuffer(flags, np.uint8)
    return Demuxed(
        np.frombuffer(times, np.int64),
        np.frombuffer(decode_times, np.int64),
        np.frombuffer(places, np.int64),
        np.frombuffer(sizes, np.int64),
        (marks & _KEY) > 0,
        (marks & _HIDDEN) > 0,
        (marks & _DAMAGED) > 0,
    )


def _shortfalls(
    opened: Opened, header: Header, demuxed: Demuxed, packets: Packets, *, indexed: bool, known: bool
) -> list[Fault]:
    """Return what is missing at the end of a whole video, or in it, by what the file says of itself."""
    faults = []
    size = opened.file.size
    stated = size if indexed else stated_size(opened.file.read_at, size)
    if stated > size:
        faults.append(Fault(SkipReason.TRUNCATED, f"{size:,} bytes where it should have {stated:,}"))
    damaged = int(demuxed.damaged.sum())
    if damaged:
        faults.append(Fault(SkipReason.CORRUPT, f"{damaged:,} packets are damaged"))
    if known and indexed:
        return faults
    return faults + fewer_than_promised(
        packets.displayed(),
        time_base=float(header.time_base),
        duration_s=opened.own_duration_s if header.timed else None,
        frames=header.frames_promised,
        found=len(demuxed),
    )


def _nothing(faults: list[Fault], packet_count: int) -> Unreadable:
    for fault in faults:
        if fault.reason is not SkipReason.BAD_TIMESTAMPS:
            return Unreadable(fault.reason, f"nothing to display: {fault.detail}")
    return Unreadable(SkipReason.NO_FRAMES, f"nothing to display in {packet_count:,} packets")
