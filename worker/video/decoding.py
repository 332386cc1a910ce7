"""Wanted frames out of an open video, each by its exact timestamp, each group of packets decoded once.

What cannot be found: a flipped bit that gives another valid stream. Codecs have no checksums of the picture, so a
decoder notices damage where the stream breaks its own rules; a block of wrong colour passes. From the packet on where
it is noticed, everything up to the next key frame is lost, since it is predicted from what is broken.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, dropwhile, islice

from av.error import FFmpegError
from av.video.frame import VideoFrame

from worker.media.images import OUT_OF_MEMORY_DETAIL, DecodeRequest, looked_at
from worker.media.pictures import Unreadable
from worker.samples import Skipped, SkipReason
from worker.video.frame_picture import FramePicture, Scalers
from worker.video.opening import Opened
from worker.video.runs import Run
from worker.video.scanned import Frame
from worker.video.seeking import VideoPacket, is_shown_vp8, packets_from

Picture = tuple[int, VideoFrame, int]
"""A frame with its pts and its packet's size in bytes."""

KeyBefore = Callable[[int], int | None]
"""The pts of the latest key frame at or before a time, None where nobody knows."""

_FAR_S = 2.0
_FIRST_FRAME_PACKETS = 300
_MOST_LED_IN = 64  # more frames are not displayed before a key frame that they come after
_ENDS = Skipped(SkipReason.TRUNCATED, "the file ends before this frame")
_OUT_OF_ORDER = "a frame did not come out of the decoder, or not in the order of the timestamps"
_NO_PICTURE = Skipped(SkipReason.CORRUPT, "no picture came out of the decoder for it")


class Decoding:
    """Frames of one open video for one request. Memory: the decoder's own pictures, and one frame's views at a time."""

    def __init__(
        self, opened: Opened, request: DecodeRequest, progress: Callable[[], None], *, max_pixels: int
    ) -> None:
        self._opened = opened
        self._request = request
        self._progress = progress
        self._max_pixels = max_pixels
        self._scalers = Scalers()
        self._waiting: deque[int] = deque()

    def planned(self, runs: Sequence[Run], *, linear: bool = False) -> Iterator[Frame]:
        """Yield the frames that runs name, in their order; `linear`: without any seek, from the beginning of the file."""
        decoder = _Decoder(self._opened)
        supply: Iterator[VideoPacket] = self._packets_from(None) if linear else iter(())
        for run, after in zip(runs, [*runs[1:], None], strict=True):
            if decoder.broken is not None or not run.follows:
                yield from self._lost(decoder.broken or _NO_PICTURE)
                supply = self._reached(supply, run, linear=linear)
                decoder.begin(run.start)
            self._waiting.extend(run.targets)
            yield from self._run(decoder, supply, run)
            if not linear and self._may_be_uncut(decoder):
                supply = self._primed(decoder, run.start)
                yield from self._run(decoder, supply, run)
            if after is None or not after.follows:
                yield from self._matched(decoder.drained())
        yield from self._lost(decoder.broken or _NO_PICTURE)

    def sought(self, pts: Sequence[int], key_before: KeyBefore) -> Iterator[Frame]:
        """Yield the frames of ascending pts where nobody knows the packets: by seeking where the next one is far.

        `key_before` says which key frame a time needs, so that no seek leaves a group that it leads back to.
        """
        decoder = _Decoder(self._opened)
        far = _FAR_S / float(self._opened.header.time_base)
        supply: Iterator[VideoPacket] = iter(())
        self._waiting.extend(pts)
        while self._waiting:
            if decoder.front is None or self._waiting[0] > decoder.front + far:
                supply = self._sought(decoder, supply, self._waiting[0], key_before)
            left = len(self._waiting)
            while len(self._waiting) == left and decoder.broken is None:
                yield from self._fed(decoder, supply, count=1)
            if decoder.start is not None and self._may_be_uncut(decoder):
                supply = self._primed(decoder, decoder.start)
            elif (why := decoder.broken) is not None:
                supply, start = self._mended(decoder, supply)
                yield from self._lost(why, before=start)

    def counted(self, pts: Sequence[int]) -> Iterator[Frame]:
        """Yield the frames of ascending indices of a stream without times, decoded from its beginning.

        After a damaged packet nobody can tell which frame is which, so the rest is lost.
        """
        supply = dropwhile(lambda packet: not packet.is_keyframe, self._packets_from(None))
        decoder = _Decoder(self._opened, counts=True)
        decoder.begin(0)
        self._waiting.extend(pts)
        while self._waiting and decoder.broken is None:
            yield from self._fed(decoder, supply, count=1)
        yield from self._lost(decoder.broken or _ENDS)

    def _run(self, decoder: "_Decoder", supply: Iterator[VideoPacket], run: Run) -> Iterator[Frame]:
        decoder.hidden = frozenset(run.hidden)
        yield from self._fed(decoder, supply, count=run.count)
        if decoder.broken is None and decoder.last_fed != run.last:
            yield from self._fed(decoder, supply, count=_MOST_LED_IN, last=run.last)

    def _may_be_uncut(self, decoder: "_Decoder") -> bool:
        """Tell whether damage just found may come from a key frame that is no clean cut, where decoding began.

        H.264 has such: the orders of later frames name frames before it that they do not need.
        """
        return (
            self._opened.header.codec == "h264"
            and decoder.broken is not None
            and decoder.broken is not _ENDS
            and not decoder.primed
            and decoder.start is not None
            and decoder.key == decoder.start
        )

    def _primed(self, decoder: "_Decoder", start: int) -> Iterator[VideoPacket]:
        """Decode what comes before a key frame, whatever is wrong there, and return the packets from it on.

        The very first packet comes before all: a decoder that never saw a clean start accepts no other one.
        """
        decoder.begin(start)
        decoder.primed = True
        for packet in islice(self._packets_from(None), 1):
            decoder.prime(packet)
        supply = self._packets_from(start - 1)
        for packet in supply:
            self._progress()
            if packet.is_keyframe and packet.pts == start:
                return chain([packet], supply)
            decoder.prime(packet)
        return iter(())

    def _sought(
        self, decoder: "_Decoder", supply: Iterator[VideoPacket], target: int, key_before: KeyBefore
    ) -> Iterator[VideoPacket]:
        key = key_before(target)
        reached = decoder.start if decoder.key is None else decoder.key
        if reached is not None and (key is None or key <= reached):
            return supply
        found = self._packets_from(target)
        first = next(found, None)
        decoder.begin(None if first is None else first.pts)
        return found if first is None else chain([first], found)

    def _mended(
        self, decoder: "_Decoder", supply: Iterator[VideoPacket]
    ) -> tuple[Iterator[VideoPacket], int | None]:
        """Make the decoder ready for the next key packet; return what comes from there, and its pts if there is one."""
        for packet in supply:
            self._progress()
            if packet.is_keyframe and packet.pts is not None:
                decoder.begin(packet.pts)
                return chain([packet], supply), packet.pts
        return iter(()), None

    def _reached(self, supply: Iterator[VideoPacket], run: Run, *, linear: bool) -> Iterator[VideoPacket]:
        """Return the packets from the start of a run on, by reading on or by seeking."""
        first = self._skipped_to(supply, run.start) if run.near or linear else None
        if first is None and not linear:
            supply = self._packets_from(run.start)
            first = self._skipped_to(supply, run.start)
        return iter(()) if first is None else chain([first], supply)

    def _skipped_to(self, supply: Iterator[VideoPacket], start: int) -> "VideoPacket | None":
        for packet in supply:
            self._progress()
            if packet.is_keyframe and packet.pts == start:
                return packet
        return None

    def _packets_from(self, time: int | None) -> Iterator[VideoPacket]:
        opened = self._opened
        return packets_from(opened.container, opened.stream, opened.header.container, time)

    def _fed(
        self, decoder: "_Decoder", supply: Iterator[VideoPacket], *, count: int, last: int | None = None
    ) -> Iterator[Frame]:
        """Feed so many packets, or up to the one with the pts `last`, unless one is damaged or the file ends before."""
        for _ in range(count):
            packet = next(supply, None)
            if packet is None:
                yield from self._matched(decoder.drained())
                decoder.broken = _ENDS
                return
            self._progress()
            yield from self._matched(decoder.fed(packet))
            if decoder.broken is not None or (last is not None and decoder.last_fed == last):
                return

    def _matched(self, frames: Iterable[Picture]) -> Iterator[Frame]:
        for pts, frame, size_bytes in frames:
            yield from self._lost(_NO_PICTURE, before=pts)
            if self._waiting and self._waiting[0] == pts:
                self._waiting.popleft()
                yield self._frame(pts, frame, size_bytes)

    def _lost(self, why: Skipped, *, before: int | None = None) -> Iterator[Frame]:
        while self._waiting and (before is None or self._waiting[0] < before):
            yield Frame(self._waiting.popleft(), None, None, why)

    def _frame(self, pts: int, frame: VideoFrame, size_bytes: int) -> Frame:
        if frame.width * frame.height > self._max_pixels:
            text = f"{frame.width} x {frame.height} pixels; the limit is {self._max_pixels}"
            return Frame(pts, None, None, Skipped(SkipReason.TOO_MANY_PIXELS, text))
        picture = FramePicture(frame, self._opened.header.codec, self._scalers)
        try:
            result = looked_at(picture, self._request, size_bytes)
            return Frame(pts, picture.content, picture.signature, result)
        except Unreadable as error:
            return Frame(pts, None, None, Skipped(error.reason, error.detail))
        except MemoryError:
            return Frame(pts, None, None, Skipped(SkipReason.OUT_OF_MEMORY, OUT_OF_MEMORY_DETAIL))


def first_frame(opened: Opened, start: int | None) -> VideoFrame | None:
    """Return the first frame that decodes, at or after the start of a segment; None where none does soon."""
    supply = packets_from(opened.container, opened.stream, opened.header.container, start)
    decoder = _Decoder(opened)
    decoder.begin(start)
    for packet in islice(supply, _FIRST_FRAME_PACKETS):
        for _, frame, _ in decoder.fed(packet):
            return frame
        if decoder.broken is not None:
            return None
    return next((frame for _, frame, _ in decoder.drained()), None)


class _Decoder:
    """FFmpeg's decoder, watched: what goes in must come out, in order and unbroken.

    `broken` says why it is of no use until it begins anew. `front` is the pts up to which frames have come out, `key` and
    `last_fed` are those of the packets that went in last.
    """

    def __init__(self, opened: Opened, *, counts: bool = False) -> None:
        self._context = opened.stream.codec_context
        self._is_vp8 = opened.header.codec == "vp8"
        self._counts = counts
        self._sizes: dict[int, int] = {}
        """Of the packets whose frames have not come out."""
        self._fed_count = 0
        self._out_count = 0
        self.hidden: frozenset[int] = frozenset()
        self.broken: Skipped | None = None
        self.primed = False
        """Whether what comes before the start was decoded, too."""
        self.start: int | None = None
        self.front: int | None = None
        self.key: int | None = None
        self.last_fed: int | None = None
        self._has_led_in = False
        """Whether a frame after the start was fed: those before it come first, if there are any."""

    def begin(self, start: int | None) -> None:
        """Forget everything, to be fed from a key packet on."""
        self._context.flush_buffers()
        self._sizes.clear()
        self._fed_count = self._out_count = 0
        self.hidden, self.broken, self.primed = frozenset(), None, False
        self.start = self.front = start
        self.key = self.last_fed = None
        self._has_led_in = False

    def fed(self, packet: VideoPacket) -> Iterator[Picture]:
        """Yield the frames that come out as a packet goes in; where it is damaged those before it, and `broken` is set."""
        if self._counts:
            packet.pts = self._fed_count  # comes out with its frame
        pts = packet.pts
        self._fed_count += 1
        self.last_fed = pts
        self.key = pts if packet.is_keyframe else self.key
        if self._is_led_in(pts):
            return
        if packet.is_corrupt:
            yield from self._broken(Skipped(SkipReason.CORRUPT, "its packet is damaged or cut short"))
            return
        if pts is not None and self._is_awaited(packet, pts):
            self._sizes.setdefault(pts, packet.size)
        try:
            frames = self._context.decode(packet)
        except (FFmpegError, MemoryError) as error:
            if pts is not None:
                self._sizes.pop(pts, None)
            yield from self._broken(_reason_of(error))
            return
        yield from self._checked(frames)

    def prime(self, packet: VideoPacket) -> None:
        """Decode a packet that nobody wants a frame of."""
        with suppress(FFmpegError):
            self._context.decode(packet)

    def drained(self) -> Iterator[Picture]:
        """Yield what is still inside; afterwards the decoder must begin anew."""
        if self.broken is None:
            with suppress(FFmpegError):
                yield from self._checked(self._context.decode(None))

    def _broken(self, why: Skipped) -> Iterator[Picture]:
        if not self._counts:  # without times nobody knows whether the broken one is among them
            yield from self.drained()
        self.broken = why

    def _is_led_in(self, pts: int | None) -> bool:
        """Tell what is displayed before the key frame where this began: it is predicted from what was not decoded."""
        if self._counts or self.primed or self.start is None or pts is None:
            return False
        self._has_led_in = self._has_led_in or pts > self.start
        return pts < self.start and not self._has_led_in

    def _is_awaited(self, packet: VideoPacket, pts: int) -> bool:
        if packet.is_discard or (self._is_vp8 and not is_shown_vp8(packet)):
            return False
        return self._counts or (
            pts not in self.hidden and (self.front is None or pts > self.front or pts == self.start)
        )

    def _checked(self, frames: Iterable[VideoFrame]) -> Iterator[Picture]:
        for frame in frames:
            size_bytes = self._sizes.pop(frame.pts, None) if frame.pts is not None else None
            if size_bytes is None or frame.pts is None:
                continue  # displayed before the key frame that it comes after, or nobody's
            if frame.is_corrupt:
                self.broken = Skipped(SkipReason.CORRUPT, "the decoder says that it is damaged")
                return
            if not self._counts and min(self._sizes, default=frame.pts) < frame.pts:
                self.broken = Skipped(SkipReason.CORRUPT, _OUT_OF_ORDER)
                return
            pts = self._out_count if self._counts else frame.pts
            self._out_count += 1
            self.front = pts
            yield pts, frame, size_bytes


def _reason_of(error: Exception) -> Skipped:
    if isinstance(error, MemoryError):
        return Skipped(SkipReason.OUT_OF_MEMORY, OUT_OF_MEMORY_DETAIL)
    text = error.strerror if isinstance(error, FFmpegError) else str(error)
    return Skipped(SkipReason.CORRUPT, f"it or a frame that it depends on is damaged: {text}")
