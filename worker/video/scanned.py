"""What is known of a video before a frame of it is decoded."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from worker.samples import Decoded, Skipped, SkipReason


@dataclass(frozen=True, slots=True)
class Header:
    """The video stream that was chosen. Width and height are in pixels, upright; a duration is what the file promises.

    Timestamps (pts) count units of `time_base` seconds. Where the stream has none (`timed` is False), the pts of a frame
    is its displayed index and `time_base` one over the frame rate, and the stream can only be decoded from its beginning.
    """

    container: str
    codec: str
    stream: int
    time_base: Fraction
    width: int
    height: int
    duration_s: float | None
    frames_promised: int | None
    timed: bool

    @property
    def has_index(self) -> bool:
        """Whether the container lists every frame, so that the frames themselves need not be read to know them."""
        return self.container == "mp4"


@dataclass(frozen=True, slots=True)
class Packets:
    """The packets of a stream, or of a part of it, in decode order, one a frame: (n,) arrays.

    `shown` is False where a packet decodes but is not displayed. `pos` and `size` say where its bytes are; -1: unknown.
    """

    pts: NDArray[np.int64]
    key: NDArray[np.bool_]
    shown: NDArray[np.bool_]
    pos: NDArray[np.int64]
    size: NDArray[np.int64]

    def displayed(self) -> NDArray[np.int64]:
        """Return the ascending pts of what is displayed, each once."""
        return np.unique(self.pts[self.shown])

    def key_frames(self) -> NDArray[np.int64]:
        """Return the ascending pts of the displayed frames that decode without any other."""
        return np.unique(self.pts[self.shown & self.key])

    def between(self, start: int | None, end: int | None) -> "Packets":
        """Return those with start <= pts < end; None is no border."""
        inside = np.ones(len(self.pts), np.bool_)
        if start is not None:
            inside &= self.pts >= start
        if end is not None:
            inside &= self.pts < end
        return Packets(
            self.pts[inside], self.key[inside], self.shown[inside], self.pos[inside], self.size[inside]
        )


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a video as a whole, whose good frames are kept all the same."""

    reason: SkipReason
    detail: str


@dataclass(frozen=True, slots=True)
class Scan:
    """The packets of a video, or of a segment of it, without their pictures.

    `indexed`: the container's own index told, and the frames themselves were not read.
    """

    header: Header
    packets: Packets
    faults: tuple[Fault, ...]
    indexed: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame that was asked for by its pts: decoded, or why not.

    `content` is the BLAKE2b-128 of the decoded planes in hex, and `signature` (32, 32) uint8 grey means of the upright
    picture; both None where the frame was lost.
    """

    pts: int
    content: str | None
    signature: NDArray[np.uint8] | None
    result: Decoded | Skipped


@dataclass(frozen=True, slots=True)
class Traffic:
    """How the bytes of one video were read: `whole` or by `ranges`, and how many bytes in how many requests."""

    way: str
    bytes_read: int
    requests: int


@dataclass(frozen=True, slots=True)
class KeyFrames:
    """For each time that was asked for the pts of a key frame at or after it, None where there is none.

    Empty where the stream has no timestamps (`header.timed` is False).
    """

    header: Header
    pts: tuple[int | None, ...]
