"""Where videos are cut."""

from fractions import Fraction

import numpy as np
import pytest

from jobs.blocks import Sampling
from worker.samples import Segment, Source
from worker.video.sampling import sampled
from worker.video.scanned import Header, Packets, Scan
from worker.video.segments import cut, cut_at, in_chunks, marks, whole

TENTHS = Fraction(1, 10)


def scan(seconds: int, *, key_every_s: float, timed: bool = True) -> Scan:
    pts = np.arange(5, 5 + seconds * 10, dtype=np.int64)
    nothing = np.full(len(pts), -1, np.int64)
    key = (pts - 5) % round(key_every_s * 10) == 0
    header = Header("mov", "h264", 2, TENTHS, 320, 240, float(seconds), None, timed)
    return Scan(header, Packets(pts, key, np.ones(len(pts), np.bool_), nothing, nothing), (), indexed=True)


def test_marks__are_the_first_key_frames_of_each_minute() -> None:
    keys = np.array([5, 600, 606, 700, 1300, 1900, 1901], np.int64)
    assert marks(keys, origin=5, time_base=TENTHS).tolist() == [606, 1300, 1900]
    assert marks(keys[:1], origin=5, time_base=TENTHS).tolist() == []


def test_cut__each_frame_is_in_one_segment_and_knows_how_many_are_before() -> None:
    found = scan(200, key_every_s=7)
    segments = cut(found)
    assert [one.start for one in segments] == [None, 635, 1265, 1825]
    displayed = found.packets.displayed().tolist()
    together: list[int] = []
    for one in segments:
        assert (one.stream, one.frames, one.origin) == (2, 2000, 5)
        assert one.first_index == len(together)
        together += found.packets.between(one.start, one.end).displayed().tolist()
    assert together == displayed


def test_cut__a_stream_without_timestamps_is_one_piece() -> None:
    assert cut(scan(200, key_every_s=1, timed=False)) == (Segment(2, None, None, 0, 2000, 5),)


def test_cut_at__nobody_has_counted() -> None:
    assert cut_at([5, 605], stream=1) == (
        Segment(1, None, 605, None, None, 5),
        Segment(1, 605, None, None, None, 5),
    )


@pytest.mark.parametrize(("fps", "sizes"), [(0.1, [5, 5]), (10.0, [2, 2, 2, 2, 2])])
def test_in_chunks__by_time_and_by_samples(fps: float, sizes: list[int]) -> None:
    found = scan(600, key_every_s=1)
    source = Source("a.mp4", "e", 1)
    samples = sampled(found.packets, Sampling(fps=fps), time_base=TENTHS, segment=whole(found))
    chunks = list(in_chunks(source, cut(found), samples=samples, most_samples=1000))
    assert [len(chunk) for chunk in chunks] == sizes
    assert [one.segment for chunk in chunks for one in chunk] == list(cut(found))
