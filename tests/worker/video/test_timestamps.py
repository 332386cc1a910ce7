import numpy as np
import pytest

from worker.samples import Segment, SkipReason
from worker.video.timestamps import (
    NO_TIME,
    Demuxed,
    beyond_file,
    counted_packets,
    fewer_than_promised,
    timed_packets,
    within_segment,
)


def demuxed(
    pts: list[int], keys: list[int], *, hidden: list[int] | None = None, dts: list[int] | None = None
) -> Demuxed:
    count = len(pts)
    key = np.zeros(count, bool)
    key[keys] = True
    unseen = np.zeros(count, bool)
    unseen[hidden or []] = True
    return Demuxed(
        np.array(pts, np.int64),
        np.array(dts if dts is not None else range(count), np.int64),
        np.arange(count, dtype=np.int64) * 10,
        np.full(count, 10, np.int64),
        key,
        unseen,
        np.zeros(count, bool),
    )


def test_timed__reordered_frames_and_open_groups_are_all_good() -> None:
    packets, faults = timed_packets(demuxed([0, 3, 1, 2, 6, 4, 5, 7], [0, 4]))
    assert faults == []
    assert packets.displayed().tolist() == list(range(8))
    assert packets.key_frames().tolist() == [0, 6]


def test_timed__the_first_of_equal_times_is_displayed() -> None:
    packets, (fault,) = timed_packets(demuxed([0, 1, 1, 2], [0]))
    assert packets.shown.tolist() == [True, True, False, True]
    assert fault.reason is SkipReason.BAD_TIMESTAMPS
    assert fault.detail.startswith("1 of 4 frames repeat a timestamp")


def test_timed__what_goes_back_behind_an_earlier_group_is_left_out() -> None:
    packets, (fault,) = timed_packets(demuxed([0, 1, 2, 0, 1, 5, 6], [0, 3, 5]))
    assert packets.displayed().tolist() == [0, 1, 2, 5, 6]
    assert packets.shown.tolist() == [True, True, True, False, False, True, True]
    assert "2 of 7" in fault.detail


def test_timed__decode_times_that_do_not_increase_are_told() -> None:
    packets, (fault,) = timed_packets(demuxed([0, 1, 2], [0], dts=[0, 5, 5]))
    assert packets.shown.all()
    assert fault.detail.endswith("1 times the decode time does not increase")


def test_timed__nothing_before_the_first_key_frame() -> None:
    packets, (fault,) = timed_packets(demuxed([0, 1, 2, 3], [2]))
    assert packets.displayed().tolist() == [2, 3]
    assert (fault.reason, fault.detail) == (
        SkipReason.FRAMES_MISSING,
        "2 frames come before the first key frame",
    )


def test_timed__hidden_packets_are_no_fault() -> None:
    packets, faults = timed_packets(demuxed([-2, -1, 0, 1], [0], hidden=[0, 1]))
    assert packets.displayed().tolist() == [0, 1]
    assert faults == []


def test_timed__no_packets() -> None:
    packets, faults = timed_packets(demuxed([], []))
    assert len(packets.displayed()) == 0
    assert faults == []


def test_counted__numbers_what_is_displayed() -> None:
    packets, faults = counted_packets(demuxed([NO_TIME] * 5, [0, 3], hidden=[1]))
    assert packets.displayed().tolist() == [0, 1, 2, 3]
    assert packets.key_frames().tolist() == [0, 2]
    assert faults == []


def test_beyond_file__counts_what_lies_there() -> None:
    (fault,) = beyond_file(demuxed([0, 1, 2, 3], [0]), 25)
    assert (fault.reason, fault.detail) == (
        SkipReason.TRUNCATED,
        "2 of 4 frames lie beyond its end at 25 bytes",
    )
    assert beyond_file(demuxed([0, 1], [0]), 20) == []


def test_within_segment__half_open() -> None:
    found = within_segment(demuxed([0, 1, 2, 3], [0]), Segment(0, start=1, end=3))
    assert found.pts.tolist() == [1, 2]
    assert len(within_segment(demuxed([0, 1, 2, 3], [0]), Segment(0))) == 4


@pytest.mark.parametrize(
    ("displayed", "duration_s", "frames", "expected"),
    [
        (list(range(100)), 10.0, 100, None),
        (list(range(100)), 10.0, None, None),
        (list(range(99)), 10.0, None, None),
        (list(range(60)), 10.0, None, "60 frames where a duration of 10 s promises 100"),
        ([*range(40), *range(60, 100)], 10.0, None, "80 frames where a duration of 10 s promises 100"),
        (list(range(60)), None, None, None),
        (list(range(60)), None, 100, "60 frames where the file promises 100"),
        ([0, 10, 11, 30, 60, 65, 100], 10.5, None, None),
        ([0, 10, 11, 30, 60], 21.0, None, "the frames end at 7"),
    ],
)
def test_fewer_than_promised(
    displayed: list[int], duration_s: float | None, frames: int | None, expected: str | None
) -> None:
    faults = fewer_than_promised(
        np.array(displayed, np.int64),
        time_base=0.1,
        duration_s=duration_s,
        frames=frames,
        found=len(displayed),
    )
    if expected is None:
        assert faults == []
    else:
        (fault,) = faults
        assert fault.reason is SkipReason.FRAMES_MISSING
        assert fault.detail.startswith(expected)
