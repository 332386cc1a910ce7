"""Which frames are samples, against a plain walk over the displayed timestamps."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jobs.blocks import Sampling
from worker.samples import Segment
from worker.video.sampling import sampled
from worker.video.scanned import Packets


def packets(pts: list[int], keys: list[int] | None = None, *, shown: list[bool] | None = None) -> Packets:
    count = len(pts)
    return Packets(
        pts=np.array(pts, np.int64),
        key=np.isin(pts, keys if keys is not None else pts),
        shown=np.array(shown if shown is not None else [True] * count, np.bool_),
        pos=np.full(count, -1, np.int64),
        size=np.full(count, -1, np.int64),
    )


def displayed_at(pts: list[int], moment: Fraction, end: Fraction) -> int | None:
    """The last frame at or before a moment, none once the video is over."""
    return max((one for one in pts if one <= moment), default=None) if moment < end else None


@settings(deadline=None, max_examples=200)
@given(
    gaps=st.lists(st.integers(1, 5000), min_size=1, max_size=40),
    origin=st.integers(-3000, 100_000),
    fps=st.sampled_from([0.1, 0.5, 1.0, 2.0, 12.5, 23.976, 29.97, 30.0, 1000.0]),
    time_base=st.sampled_from(
        [Fraction(1, 1000), Fraction(1, 90000), Fraction(1001, 30000), Fraction(1, 25)]
    ),
)
def test_fps__takes_what_is_displayed_at_each_moment(
    gaps: list[int], origin: int, fps: float, time_base: Fraction
) -> None:
    pts = np.cumsum([origin, *gaps]).tolist()
    end = Fraction(pts[-1] + gaps[-1])
    step = 1 / (Fraction(str(fps)) * time_base)
    assume((end - origin) / step < 2000)
    moments = [origin + k * step for k in range(int((end - origin) / step) + 2)]
    expected = sorted({found for one in moments if (found := displayed_at(pts, one, end)) is not None})
    found = sampled(packets(pts), Sampling(fps=fps), time_base=time_base, segment=Segment(0, origin=origin))
    assert found.tolist() == expected


@settings(deadline=None)
@given(
    gaps=st.lists(st.integers(1, 50), min_size=2, max_size=60),
    cuts=st.sets(st.integers(1, 58), max_size=5),
    sampling=st.sampled_from(
        [Sampling(frames="all"), Sampling(frames="keyframes"), *(Sampling(every=n) for n in (1, 2, 7, 100))]
        + [Sampling(fps=n) for n in (0.7, 10.0, 59.94)]
    ),
)
def test_segments__together_take_what_the_whole_takes(
    gaps: list[int], cuts: set[int], sampling: Sampling
) -> None:
    pts = np.cumsum([7, *gaps]).tolist()
    keys = [pts[0], *(pts[cut] for cut in sorted(cuts) if cut < len(pts) - 1)]
    everything = packets(pts, keys)
    time_base = Fraction(1, 100)
    whole = sampled(everything, sampling, time_base=time_base, segment=Segment(0, None, None, 0, len(pts), 7))
    starts: list[int | None] = [None, *keys[1:]]
    parts = [
        sampled(
            everything.between(start, end),
            sampling,
            time_base=time_base,
            segment=Segment(0, start, end, pts.index(start) if start is not None else 0, len(pts), 7),
        )
        for start, end in zip(starts, [*starts[1:], None], strict=True)
    ]
    assert np.concatenate(parts).tolist() == whole.tolist()


def test_packets_that_are_not_displayed_and_repeated_timestamps__are_no_samples() -> None:
    found = packets([0, 20, 10, 10, 30], [0, 30], shown=[True, True, True, True, False])
    taken = sampled(
        found, Sampling(frames="all"), time_base=Fraction(1, 10), segment=Segment(0, first_index=0)
    )
    assert taken.tolist() == [0, 10, 20]


def test_every__needs_the_number_of_frames_before() -> None:
    with pytest.raises(ValueError, match="number of frames before"):
        sampled(packets([0, 1]), Sampling(every=2), time_base=Fraction(1, 10), segment=Segment(0))
