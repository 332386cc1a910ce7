"""Which frames of a video are samples, by their timestamps alone."""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from jobs.blocks import Sampling
from worker.samples import Segment
from worker.video.scanned import Packets

Pts = NDArray[np.int64]

VIDEO_VERSION = 1
"""Grows with every change of which frames are samples, and of their order and names."""

_FINEST_RATE = 1_000_000


def sampled(packets: Packets, sampling: Sampling, *, time_base: Fraction, segment: Segment) -> Pts:
    """Return the ascending pts of the samples among the displayed frames of a segment, which may be the whole video.

    Sampling by time takes the frame that is displayed at each moment k / fps after the video's first frame; a frame that is
    displayed at several moments is taken once. A frame is displayed until the next one is, the last one of the video for
    as long as the one before it.

    Raises:
        ValueError: `every` counts frames, and `first_index` is not known.
    """
    displayed = packets.displayed()
    if sampling.fps is not None:
        rate = Fraction(str(sampling.fps)).limit_denominator(_FINEST_RATE) * time_base
        return _at_moments(displayed, rate, origin=segment.origin or 0, end=segment.end)
    if sampling.every is not None:
        if segment.first_index is None:
            raise ValueError("every n-th frame cannot be told without the number of frames before")
        return displayed[-segment.first_index % sampling.every :: sampling.every]
    return displayed if sampling.frames == "all" else packets.key_frames()


def _at_moments(displayed: Pts, rate: Fraction, *, origin: int, end: int | None) -> Pts:
    """Moment k is at origin + k / rate: as many lie before p as the ceiling of (p - origin) * rate, from 0 on."""
    if not len(displayed):
        return displayed
    if end is None:
        end = 2 * int(displayed[-1]) - int(displayed[-2]) if len(displayed) > 1 else int(displayed[-1]) + 1
    borders = np.append(displayed, end).astype(object) - origin  # Python's integers do not overflow
    before = -(-borders * rate.numerator // rate.denominator)
    return displayed[(before[1:] > np.maximum(before[:-1], 0)).astype(np.bool_)]
