"""Packets as a file has them to packets that can be relied upon: each displayed frame once, with a time of its own."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from worker.samples import Segment, SkipReason
from worker.video.scanned import Fault, Packets

NO_TIME = int(np.iinfo(np.int64).min)
"""Stands where a packet has no timestamp."""

_REGULAR_SHARE = 0.9
_REORDERED = 16  # no more frames wait for one that is coded before them and displayed after them
_PAUSE_S = 60.0  # nothing is missing where a recording pauses


@dataclass(frozen=True, slots=True)
class Demuxed:
    """Packets as they came, in decode order: (n,) arrays; `hidden` and `discarded` ones are decoded but not displayed."""

    pts: NDArray[np.int64]
    dts: NDArray[np.int64]
    pos: NDArray[np.int64]
    size: NDArray[np.int64]
    key: NDArray[np.bool_]
    hidden: NDArray[np.bool_]
    damaged: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.pts)

    def where(self, kept: NDArray[np.bool_]) -> "Demuxed":
        """Return those that are kept."""
        return Demuxed(
            self.pts[kept],
            self.dts[kept],
            self.pos[kept],
            self.size[kept],
            self.key[kept],
            self.hidden[kept],
            self.damaged[kept],
        )


def beyond_file(demuxed: Demuxed, size: int) -> list[Fault]:
    """Say how many packets a file of that size does not hold: it was cut off. They count, so that the others keep their numbers."""
    lost = int((demuxed.pos + demuxed.size > size).sum())
    if not lost:
        return []
    detail = f"{lost:,} of {len(demuxed):,} frames lie beyond its end at {size:,} bytes"
    return [Fault(SkipReason.TRUNCATED, detail)]


def without_end(packets: Packets) -> Packets:
    """Return the packets of a file that was cut off without what is displayed after a gap near its end.

    There, frames are missing that would come in between, so nobody knows the numbers of those behind.
    """
    last = packets.displayed()[-_REORDERED:]
    gaps = np.diff(last)
    wide = np.flatnonzero(gaps > 1.5 * np.median(gaps)) if len(gaps) else gaps
    if not len(wide):
        return packets
    return replace(packets, shown=packets.shown & (packets.pts <= last[wide[0]]))


def within_segment(demuxed: Demuxed, segment: Segment) -> Demuxed:
    """Return the packets with start <= pts < end."""
    kept = np.ones(len(demuxed), bool)
    if segment.start is not None:
        kept &= demuxed.pts >= segment.start
    if segment.end is not None:
        kept &= demuxed.pts < segment.end
    return demuxed.where(kept)


def timed_packets(demuxed: Demuxed) -> tuple[Packets, list[Fault]]:
    """Return the packets with what can be displayed, and what is wrong with their times.

    Not displayed are packets before the first key packet, which nothing decodes, and those whose timestamp is not
    after everything displayed before their key packet, or is another's: the first one stays.
    """
    groups = np.cumsum(demuxed.key, dtype=np.int64)
    shown = ~demuxed.hidden & (groups > 0)
    early = int((~demuxed.hidden & (groups == 0)).sum())
    faults = [_early(early)] if early else []
    good = shown & (demuxed.pts > _latest_before(demuxed.pts, groups, shown))
    good[np.flatnonzero(good)] = _is_first(demuxed.pts[good])
    bad = int(shown.sum() - good.sum())
    backwards = int((np.diff(demuxed.dts[demuxed.dts != NO_TIME]) <= 0).sum())
    if bad or backwards:
        detail = (
            f"{bad:,} of {len(demuxed):,} frames repeat a timestamp or go back in time and are left out; "
            f"{backwards:,} times the decode time does not increase"
        )
        faults.append(Fault(SkipReason.BAD_TIMESTAMPS, detail))
    return Packets(demuxed.pts, demuxed.key, good, demuxed.pos, demuxed.size), faults


def counted_packets(demuxed: Demuxed) -> tuple[Packets, list[Fault]]:
    """Return the packets of a stream without times: a frame's pts is its index in decode order.

    That is its displayed index, but that the order among the frames between two key frames may differ, and that a
    key frame with frames displayed before it that are coded after it has a smaller index than it is displayed at.
    """
    shown = ~demuxed.hidden & (np.cumsum(demuxed.key) > 0)
    early = int(len(demuxed) - demuxed.hidden.sum() - shown.sum())
    pts = np.cumsum(shown) - 1
    faults = [_early(early)] if early else []
    return Packets(pts.astype(np.int64), demuxed.key, shown, demuxed.pos, demuxed.size), faults


def fewer_than_promised(
    displayed: NDArray[np.int64],
    *,
    time_base: float,
    duration_s: float | None,
    frames: int | None,
    found: int,
) -> list[Fault]:
    """Compare what was found with what a file promises: its number of frames, its duration at its own regular rate.

    `displayed` are ascending timestamps, `found` is how many packets there are. Two frames, or one in a hundred, may be
    missing without a word: durations are rounded, and cameras drop a frame now and then.
    """
    if frames is not None and found < frames - _tolerated(frames):
        return [Fault(SkipReason.FRAMES_MISSING, f"{found:,} frames where the file promises {frames:,}")]
    if duration_s is None or len(displayed) < 2:
        return []
    gaps = np.diff(displayed)
    gap = float(np.median(gaps))
    paused_s = float(gaps[gaps * time_base > max(_PAUSE_S, 10 * gap * time_base)].sum()) * time_base
    end = displayed[-1] + gap - min(0, displayed[0])
    if float((gaps <= 1.5 * gap).mean()) >= _REGULAR_SHARE:
        promised = round((duration_s - paused_s) / (gap * time_base))
        missing = promised - len(displayed)
        if missing > _tolerated(promised):
            detail = f"{len(displayed):,} frames where a duration of {duration_s:g} s promises {promised:,}"
            return [Fault(SkipReason.FRAMES_MISSING, detail)]
    elif duration_s - end * time_base > max(1.0, 2 * float(gaps.max()) * time_base):
        detail = f"the frames end at {end * time_base:g} s of {duration_s:g} s"
        return [Fault(SkipReason.FRAMES_MISSING, detail)]
    return []


def _tolerated(promised: int) -> float:
    return max(2, promised / 100)


def _early(count: int) -> Fault:
    return Fault(SkipReason.FRAMES_MISSING, f"{count:,} frames come before the first key frame")


def _latest_before(
    pts: NDArray[np.int64], groups: NDArray[np.int64], shown: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return for each packet the latest displayed time of all groups before its own; groups count up from 0."""
    latest = np.full(int(groups[-1]) + 1 if len(groups) else 0, NO_TIME, np.int64)
    np.maximum.at(latest, groups[shown], pts[shown])
    before = np.concatenate(([NO_TIME], np.maximum.accumulate(latest)[:-1])) if len(latest) else latest
    return before[groups]


def _is_first(values: NDArray[np.int64]) -> NDArray[np.bool_]:
    first = np.zeros(len(values), bool)
    first[np.unique(values, return_index=True)[1]] = True
    return first
