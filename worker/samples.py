"""What is listed, what becomes of it, and why some of it is left out."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a video: the frames of one stream with start <= pts < end, in displayed order.

    `start` and `end` are timestamps of key frames in units of the stream's time base; None means the first and the last
    frame. `first_index` is how many frames are displayed before it, `frames` how many the whole video has, and `origin`
    the first displayed timestamp, from which sampling by time counts; None where nobody has counted.
    """

    stream: int
    start: int | None = None
    end: int | None = None
    first_index: int | None = None
    frames: int | None = None
    origin: int | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """One listed object of a datasource: its key below the input, its opaque ETag and its size in bytes.

    A long video is planned as several of these, each with its own segment.
    """

    key: str
    etag: str
    size: int
    segment: Segment | None = None


class SkipReason(StrEnum):
    """Why a source or a sample was left out."""

    EMPTY = "empty"
    TOO_MANY_BYTES = "too_many_bytes"
    TOO_MANY_PIXELS = "too_many_pixels"
    NOT_AN_IMAGE = "not_an_image"
    NOT_A_VIDEO = "not_a_video"
    NO_FRAMES = "no_frames"
    BAD_TIMESTAMPS = "bad_timestamps"
    FRAMES_MISSING = "frames_missing"
    NEAR_IDENTICAL = "near_identical"
    NAME_TAKEN = "name_taken"
    UNSUPPORTED_FORMAT = "unsupported_format"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    OUT_OF_MEMORY = "out_of_memory"
    DECODE_TIMEOUT = "decode_timeout"
    DECODE_CRASHED = "decode_crashed"
    NOT_FINITE = "not_finite"
    CHANGED = "changed"
    MISSING = "missing"
    EXPIRING = "expiring"
    CHUNK_FAILED = "chunk_failed"

    @property
    def volatile(self) -> bool:
        """True when another try, on a calmer machine or another day, could end differently."""
        return self in _VOLATILE


_VOLATILE = frozenset(
    {
        SkipReason.OUT_OF_MEMORY,
        SkipReason.DECODE_TIMEOUT,
        SkipReason.DECODE_CRASHED,
        SkipReason.CHANGED,
        SkipReason.MISSING,
        SkipReason.EXPIRING,
        SkipReason.CHUNK_FAILED,
    }
)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A source that was left out: a reason code and one line of detail for a person."""

    reason: SkipReason
    detail: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A source that is not in the pool, and why."""

    source: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """What one image or frame gave. `width` and `height` are the original's after orientation, in pixels.

    `measures` maps a measure's name to its value at the size named in `seen_px` (width, height);
    `full_measures` holds those taken from the full-size pixels. `pixels` is (h, w, 3) uint8 RGB, ready for the
    model, or None where no embedding was asked for. `thumbnail` is a JPEG, and `image` the whole picture in the format
    asked for; None where none was asked for.
    """

    format: str
    width: int
    height: int
    seen_px: tuple[int, int]
    measures: dict[str, float | int | str]
    full_measures: dict[str, float | int | str]
    pixels: NDArray[np.uint8] | None
    thumbnail: bytes | None = None
    image: bytes | None = None
