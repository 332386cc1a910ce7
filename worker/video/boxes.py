"""The outermost structure of files: where an MP4's media data lies, and how long a file says that it is."""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

ReadAt = Callable[[int, int], bytes]
"""Bytes from a position, as many as were asked for unless the file ends."""

_MEDIA = b"mdat"
_RIFF = b"RIFF"
_EBML = b"\x1a\x45\xdf\xa3"
_TS_SYNC, _TS_PACKET_BYTES = b"\x47", 188
_SEGMENT = b"\x18\x53\x80\x67"


@dataclass(frozen=True, slots=True)
class Box:
    """A top-level box of an MP4: its bytes [start, stop) as it states them, of which the first `head` are its header."""

    kind: bytes
    start: int
    stop: int
    head: int

    @property
    def is_media(self) -> bool:
        """True for the box with the coded frames and sound."""
        return self.kind == _MEDIA


@dataclass(slots=True)
class Boxes:
    """The top-level boxes of an MP4, found from the beginning as far as somebody asks; a few dozen bytes each."""

    read_at: ReadAt
    size: int
    found: list[Box] = field(default_factory=list)

    def media_at(self, position: int) -> Box | None:
        """Return the media box whose content holds a position, or None."""
        box = self._at(position)
        return box if box is not None and box.is_media and position >= box.start + box.head else None

    def next_media(self, position: int) -> int:
        """Return where the content of the box at a position ends or that of a media box begins, whichever is first."""
        box = self._at(position)
        if box is None:
            return self.size
        return box.start + box.head if box.is_media else box.stop

    def stated_size(self) -> int:
        """Return where the last box says that it ends: beyond the file's end where it was cut off."""
        self._walk(self.size)
        return max(self.size, self.found[-1].stop if self.found else 0)

    def has(self, kind: bytes) -> bool:
        """Tell whether the file has a box of a kind, after a look at all of them."""
        self._walk(self.size)
        return any(box.kind == kind for box in self.found)

    def _at(self, position: int) -> Box | None:
        self._walk(position)
        low, high = 0, len(self.found)
        while low < high:
            middle = (low + high) // 2
            if self.found[middle].stop <= position:
                low = middle + 1
            else:
                high = middle
        return self.found[low] if low < len(self.found) and self.found[low].start <= position else None

    def _walk(self, position: int) -> None:
        while (end := self.found[-1].stop if self.found else 0) <= position and end < self.size:
            box = self._box(end)
            if box is None:
                return
            self.found.append(box)

    def _box(self, start: int) -> Box | None:
        head = self.read_at(start, 16)
        if len(head) < 8:
            return None
        length, kind = struct.unpack(">I4s", head[:8])
        head_bytes = 8
        if length == 1 and len(head) == 16:
            (length,) = struct.unpack(">Q", head[8:])
            head_bytes = 16
        elif length == 0:
            length = self.size - start
        return Box(kind, start, start + length, head_bytes) if length >= head_bytes else None


def stated_size(read_at: ReadAt, size: int) -> int:
    """Return how many bytes a file should have; `size` where nothing tells.

    Matroska and AVI say so in their beginning; a transport stream is made of packets of one length.
    """
    head = read_at(0, 4096)
    if head[:1] == _TS_SYNC and head[_TS_PACKET_BYTES : _TS_PACKET_BYTES + 1] == _TS_SYNC:
        return -(-size // _TS_PACKET_BYTES) * _TS_PACKET_BYTES
    if head.startswith(_RIFF) and len(head) >= 8:
        return int.from_bytes(head[4:8], "little") + 8
    if head.startswith(_EBML):
        at = head.find(_SEGMENT)
        length = _ebml_length(head[at + 4 :]) if at > 0 else None
        if length is not None:
            return at + 4 + length[0] + length[1]
    return size


def _ebml_length(data: bytes) -> tuple[int, int] | None:
    """Return how many bytes a length of EBML takes and what it says, or None where the length is left open."""
    if not data or not data[0]:
        return None
    count = 9 - data[0].bit_length()
    mask = (1 << 7 * count) - 1
    value = int.from_bytes(data[:count], "big") & mask
    return None if len(data) < count or value == mask else (count, value)
