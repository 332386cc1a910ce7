"""Broken files: what is good is kept and is what it seems, what is not is told."""

import struct
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from tests.videos import Clip, boxes, flipped_bits, make, shown_index
from tests.worker.video.conftest import Put
from worker.media.images import DecodeRequest
from worker.media.limits import Limits
from worker.media.preprocessing import Preprocessing
from worker.samples import Decoded, Segment, Skipped, SkipReason, Source
from worker.storage.local import LocalStore
from worker.video.processes import VideoDecoders
from worker.video.scanned import Frame, Scan

PIXELS = DecodeRequest(embed=Preprocessing(resize=120, crop=120, keep_aspect=False, interpolation="box"))
INDEX_FIRST = Clip(muxing={"movflags": "faststart"})
MJPEG = Clip(form="avi", codec="mjpeg", pixel_format="yuvj420p")


@cache
def made(clip_name: str) -> bytes:
    return make(
        {
            "mp4": Clip(),
            "index first": INDEX_FIRST,
            "fragments": Clip(muxing={"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
            "mkv": Clip(form="matroska", sound=True),
            "webm": Clip(form="webm", codec="libvpx-vp9"),
            "ts": Clip(form="mpegts"),
            "avi": MJPEG,
            "raw": Clip(form="h264"),
            "av1": Clip(codec="libsvtav1"),
            "mpeg4": Clip(codec="mpeg4"),
        }[clip_name]
    )


def all_frames(decoders: VideoDecoders, store: LocalStore, source: Source) -> tuple[Scan, list[Frame]]:
    scan = decoders.scan(store, source)
    assert isinstance(scan, Scan), scan
    pts = scan.packets.displayed().tolist()
    found = list(decoders.frames(store, source, scan.header, pts, PIXELS, packets=scan.packets))
    assert [frame.pts for frame in found] == pts
    return scan, found


def indices(found: Sequence[Frame]) -> list[int | None]:
    return [
        shown_index(frame.result.pixels)
        if isinstance(frame.result, Decoded) and frame.result.pixels is not None
        else None
        for frame in found
    ]


def skipped(decoders: VideoDecoders, store: LocalStore, source: Source) -> tuple[SkipReason, str]:
    result = decoders.scan(store, source)
    assert isinstance(result, Skipped), result
    return result.reason, result.detail


@pytest.mark.parametrize("name", ["index first", "fragments", "mkv", "webm", "ts", "avi"])
def test_cut_off__frames_before_the_end_are_kept(
    decoders: VideoDecoders, store: LocalStore, put: Put, name: str
) -> None:
    body = made(name)
    scan, found = all_frames(decoders, store, put(name, body[: len(body) * 6 // 10 + 1]))
    assert scan.faults[0].reason is SkipReason.TRUNCATED
    shown = indices(found)
    good = [index for index in shown if index is not None]
    assert 19 <= len(good) <= 25
    assert shown[:19] == list(range(19))


def test_cut_off__an_mp4_says_how_many_frames_are_lost(
    decoders: VideoDecoders, store: LocalStore, put: Put
) -> None:
    body = made("index first")
    scan, found = all_frames(decoders, store, put("a.mp4", body[: len(body) * 6 // 10]))
    (fault,) = scan.faults
    lost = int(fault.detail.partition(" ")[0])
    assert fault.detail == f"{lost} of 40 frames lie beyond its end at {len(body) * 6 // 10:,} bytes"
    shown = indices(found)
    assert len(shown) == 40, "the lost frames count, so that the others keep their numbers"
    assert 15 <= lost <= shown.count(None) <= 20
    assert all(index in {None, place} for place, index in enumerate(shown))


def test_cut_off__frames_beyond_the_end_are_truncated(
    decoders: VideoDecoders, store: LocalStore, put: Put
) -> None:
    whole = put("whole.mp4", made("index first"))
    scan, _ = all_frames(decoders, store, whole)
    body = made("index first")
    cut = put("cut.mp4", body[: len(body) * 6 // 10])
    pts = scan.packets.displayed().tolist()
    found = list(decoders.frames(store, cut, scan.header, pts, PIXELS, packets=None))
    assert indices(found)[:20] == list(range(20))
    assert isinstance(found[-1].result, Skipped)
    assert found[-1].result.reason in {SkipReason.TRUNCATED, SkipReason.CORRUPT}


def test_cut_off__without_its_index(decoders: VideoDecoders, store: LocalStore, put: Put) -> None:
    body = made("mp4")
    reason, detail = skipped(decoders, store, put("a.mp4", body[: len(body) * 6 // 10]))
    assert reason is SkipReason.TRUNCATED
    assert detail.startswith("the index (moov) is missing")


@pytest.mark.parametrize("name", ["mp4", "av1", "mpeg4"])
@pytest.mark.parametrize("seed", [1, 2])
def test_flipped_bits__what_is_noticed_costs_its_group(
    decoders: VideoDecoders, store: LocalStore, put: Put, name: str, seed: int
) -> None:
    body = made(name)
    media = next((start, stop) for kind, start, stop in boxes(body) if kind == "mdat")
    _, whole = all_frames(decoders, store, put(f"{name}.whole", body))
    places = np.random.default_rng(seed).integers(media[0] + 100, media[1], 3).tolist()
    scan, found = all_frames(decoders, store, put(name, flipped_bits(body, places)))
    reasons = {frame.result.reason for frame in found if isinstance(frame.result, Skipped)}
    assert reasons == {SkipReason.CORRUPT}
    packets = scan.packets
    hit = [
        np.flatnonzero((packets.pos <= place) & (place < packets.pos + packets.size))[0] for place in places
    ]
    groups = np.cumsum(packets.key)
    starts = packets.pts[packets.key]
    for frame, good in zip(found, whole, strict=True):
        group = groups[packets.pts == frame.pts][0]
        needed = {group, group - (frame.pts < starts[group - 1])}
        if needed.isdisjoint(groups[hit].tolist()):
            assert frame.content == good.content


def test_flipped_bits__without_timestamps_the_rest_is_lost(
    decoders: VideoDecoders, store: LocalStore, put: Put
) -> None:
    body = bytearray(made("raw"))
    key = body.index(b"\0\0\1\x65", len(body) // 2)
    body[key + 300 : key + 400] = np.random.default_rng(0).integers(1, 256, 100, np.uint8).tobytes()
    _, found = all_frames(decoders, store, put("a.h264", bytes(body)))
    shown = indices(found)
    lost = shown.index(None)
    assert shown[:lost] == list(range(lost))
    assert shown[lost:] == [None] * (40 - lost)


def test_timestamps__the_first_of_repeated_ones_stays(
    decoders: VideoDecoders, store: LocalStore, put: Put
) -> None:
    body = bytearray(make(Clip(b_frames=0, times=(*range(20), *range(21, 41)))))
    at = body.find(b"stts")
    count = struct.unpack_from(">I", body, at + 8)[0]
    entries = [struct.unpack_from(">II", body, at + 12 + 8 * place) for place in range(count)]
    one, tick = entries[0][0], entries[0][1]
    assert entries[1][1] == 2 * tick
    struct.pack_into(
        ">II", body, at + 20, entries[1][0], 0
    )  # the frame after the gap has the time of the one before
    assert one == 19
    scan, found = all_frames(decoders, store, put("a.mp4", bytes(body)))
    (fault,) = scan.faults
    assert fault.reason is SkipReason.BAD_TIMESTAMPS
    assert fault.detail.startswith("1 of 40 frames repeat a timestamp")
    assert indices(found) == [*range(20), *range(21, 40)]


def test_promises__an_avi_that_claims_more_frames(
    decoders: VideoDecoders, store: LocalStore, put: Put
) -> None:
    body = bytearray(made("avi"))
    struct.pack_into("<I", body, body.find(b"avih") + 24, 400)
    struct.pack_into("<I", body, body.find(b"strh") + 40, 400)
    scan, found = all_frames(decoders, store, put("a.avi", bytes(body)))
    assert [(fault.reason, fault.detail) for fault in scan.faults] == [
        (SkipReason.FRAMES_MISSING, "40 frames where the file promises 400")
    ]
    assert indices(found) == list(range(40))


def test_promises__a_hole_in_the_middle(decoders: VideoDecoders, store: LocalStore, put: Put) -> None:
    body = made("mkv")
    clusters = [at for at in range(len(body)) if body.startswith(b"\x1f\x43\xb6\x75", at)]
    hole = bytes(body[: clusters[1]] + bytes(clusters[2] - clusters[1]) + body[clusters[2] :])
    scan, found = all_frames(decoders, store, put("a.mkv", hole))
    assert SkipReason.FRAMES_MISSING in {fault.reason for fault in scan.faults}
    shown = [index for index in indices(found) if index is not None]
    assert len(shown) < 40
    assert shown == sorted(set(shown))


NO_VIDEOS = {
    "empty": (b"", SkipReason.EMPTY, "zero bytes"),
    "text": (b"hello, this is a text\n" * 50, SkipReason.NOT_A_VIDEO, "begins with 'hello, this is a text"),
    "playlist": (
        b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
        SkipReason.NOT_A_VIDEO,
        "opened are mp4, matroska, avi",
    ),
    "concat": (b"ffconcat version 1.0\nfile '/etc/hostname'\n", SkipReason.NOT_A_VIDEO, "opened are mp4"),
    "zeros": (bytes(5000), SkipReason.NOT_A_VIDEO, "opened are"),
    "beginning": (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", SkipReason.TRUNCATED, "index (moov)"),
    "half a header": (b"\x1a\x45\xdf\xa3\x01\0\0\0", SkipReason.CORRUPT, "beginning cannot be read"),
}


@pytest.mark.parametrize("name", NO_VIDEOS)
def test_scan__what_is_no_video(decoders: VideoDecoders, store: LocalStore, put: Put, name: str) -> None:
    body, reason, text = NO_VIDEOS[name]
    found, detail = skipped(decoders, store, put("a.mp4", body))
    assert found is reason
    assert text in detail


def test_scan__sound_alone(decoders: VideoDecoders, store: LocalStore, put: Put) -> None:
    from io import BytesIO

    import av

    out = BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 88200), np.int16), format="s16", layout="stereo")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    reason, detail = skipped(decoders, store, put("a.mp4", out.getvalue()))
    assert (reason, detail) == (SkipReason.NOT_A_VIDEO, "no video stream in it")


def test_scan__a_codec_that_is_not_decoded(decoders: VideoDecoders, store: LocalStore, put: Put) -> None:
    body = make(Clip(form="matroska", codec="ffv1", frames=3))
    reason, detail = skipped(decoders, store, put("a.mkv", body))
    assert reason is SkipReason.UNSUPPORTED_FORMAT
    assert detail.startswith("ffv1; decoded are h264, hevc, av1")


def test_scan__no_frames(decoders: VideoDecoders, store: LocalStore, put: Put) -> None:
    body = made("fragments")
    ends = {kind: stop for kind, _, stop in reversed(list(boxes(body)))}
    reason, detail = skipped(decoders, store, put("a.mp4", body[: ends["moov"]]))
    assert (reason, detail) == (SkipReason.NO_FRAMES, "nothing to display in 0 packets")


def test_scan__a_segment_without_frames(decoders: VideoDecoders, store: LocalStore, put: Put) -> None:
    source = put("a.mp4", made("mp4"))
    part = Source(source.key, source.etag, source.size, Segment(0, start=10**9))
    reason, _ = skipped(decoders, store, part)
    assert reason is SkipReason.NO_FRAMES


def test_limits__pixels_and_bytes(store: LocalStore, put: Put) -> None:
    source = put("a.mp4", made("mp4"))
    with VideoDecoders(1, Limits(max_pixels=76_799), cache_bytes=2**25) as own:
        assert skipped(own, store, source) == (
            SkipReason.TOO_MANY_PIXELS,
            "320 x 240 = 76800 pixels; the limit is 76799",
        )
    with VideoDecoders(1, Limits(max_video_bytes=1000), cache_bytes=2**25) as own:
        assert skipped(own, store, source)[0] is SkipReason.TOO_MANY_BYTES


def test_changed_and_gone(decoders: VideoDecoders, store: LocalStore, put: Put) -> None:
    source = put("a.mp4", made("mp4"))
    other = Source(source.key, "other", source.size)
    assert skipped(decoders, store, other) == (SkipReason.CHANGED, "changed since it was listed")
    gone = Source("never/was.mp4", "etag", 1000)
    assert skipped(decoders, store, gone) == (SkipReason.MISSING, "gone since it was listed")
    scan, found = all_frames(decoders, store, source)
    pts = scan.packets.displayed().tolist()
    changed = list(decoders.frames(store, other, scan.header, pts, PIXELS, packets=scan.packets))
    assert {frame.result.reason for frame in changed if isinstance(frame.result, Skipped)} == {
        SkipReason.CHANGED
    }
    assert len(changed) == len(found)


def test_timestamps__of_two_recordings_in_one_file_the_first_one_stays(
    decoders: VideoDecoders, store: LocalStore, put: Put
) -> None:
    clip = Clip(form="mpegts", codec="mpeg2video", rate=25, frames=36, gop=12)
    body = make(clip) + make(replace(clip, first_index=100))
    scan, found = all_frames(decoders, store, put("two.ts", body))
    assert SkipReason.BAD_TIMESTAMPS in {fault.reason for fault in scan.faults}
    shown = indices(found)
    assert shown[:33] == list(range(33))
    assert all(index in {None, place} for place, index in enumerate(shown))


def test_cut_off__numbers_behind_missing_frames_are_nobodys(
    decoders: VideoDecoders, store: LocalStore, put: Put
) -> None:
    body = made("mkv")
    for tenths in range(3, 10):
        _, found = all_frames(decoders, store, put(f"{tenths}.mkv", body[: len(body) * tenths // 10]))
        shown = indices(found)
        assert all(index in {None, place} for place, index in enumerate(shown))
