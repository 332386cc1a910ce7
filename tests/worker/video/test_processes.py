"""Every container and codec: each frame by its timestamp is the one that shows its own index."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.servers import S3Server, client_of
from tests.tools import tool
from tests.videos import Clip, make, make_streams, padded, shown_index
from tests.worker.video.conftest import Put
from worker.media.images import DecodeRequest
from worker.media.limits import Limits
from worker.media.preprocessing import Preprocessing
from worker.samples import Decoded, Segment, Skipped, SkipReason, Source
from worker.storage.local import LocalStore
from worker.storage.s3 import S3Store
from worker.storage.store import ObjectStore
from worker.video.processes import VideoDecoders
from worker.video.scanned import Frame, KeyFrames, Packets, Scan

ROOT = Path(__file__).parents[3]
PIXELS = DecodeRequest(embed=Preprocessing(resize=120, crop=120, keep_aspect=False, interpolation="box"))

OPEN_GOP = {"x265-params": "open-gop=1:bframes=3"}
TIMED = {
    "h264.mp4": Clip(sound=True),
    "h264.mov": Clip(form="mov"),
    "h264.m4v": Clip(form="ipod"),
    "index first.mp4": Clip(muxing={"movflags": "faststart"}),
    "fragments.mp4": Clip(muxing={"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    "cut by an edit list.mp4": Clip(times=tuple(range(-5, 35))),
    "open groups.mp4": Clip(codec="libx265", options=OPEN_GOP),
    "ten bits.mp4": Clip(codec="libx265", pixel_format="yuv420p10le"),
    "av1.mp4": Clip(codec="libsvtav1"),
    "mpeg4.mp4": Clip(codec="mpeg4"),
    "h264.mkv": Clip(form="matroska", sound=True),
    "open groups.mkv": Clip(form="matroska", codec="libx265", options=OPEN_GOP),
    "open groups h264.mkv": Clip(form="matroska", options={"x264-params": "open-gop=1"}),
    "av1.mkv": Clip(form="matroska", codec="libsvtav1"),
    "vp9.webm": Clip(form="webm", codec="libvpx-vp9"),
    "hidden frames.webm": Clip(
        form="webm", codec="libvpx", options={"auto-alt-ref": "1", "lag-in-frames": "10", "deadline": "good"}
    ),
    "mjpeg.avi": Clip(form="avi", codec="mjpeg", pixel_format="yuvj420p"),
    "mpeg4.avi": Clip(form="avi", codec="mpeg4", b_frames=0),
    "h264.ts": Clip(form="mpegts", sound=True),
    "mpeg2.ts": Clip(form="mpegts", codec="mpeg2video", rate=25),
    "open groups.ts": Clip(form="mpegts", codec="libx265", options=OPEN_GOP),
    "variable.mp4": Clip(times=tuple(i + i * i // 10 for i in range(40))),
    "variable.mkv": Clip(form="matroska", times=tuple(i + i * i // 10 for i in range(40))),
    "turned.mov": Clip(form="mov", rotation=(90, False)),
    "turned and flipped.mp4": Clip(rotation=(270, True)),
    "upside down.mkv": Clip(form="matroska", rotation=(180, False)),
}
UNTIMED = {
    "raw.h264": Clip(form="h264"),
    "raw.hevc": Clip(form="hevc", codec="libx265"),
    "raw.m4v": Clip(form="m4v", codec="mpeg4"),
    "raw.mpeg": Clip(form="mpeg2video", codec="mpeg2video", rate=25),
    "mpeg2.mpg": Clip(form="mpeg", codec="mpeg2video", rate=25, sound=True),
    "mpeg1.mpg": Clip(form="mpeg", codec="mpeg1video", rate=25),
    "h264.avi": Clip(form="avi"),
    "b-frames.avi": Clip(form="avi", codec="mpeg4"),
}


@cache
def body_of(name: str) -> bytes:
    return make((TIMED | UNTIMED)[name])


def scanned(decoders: VideoDecoders, store: ObjectStore, source: Source) -> Scan:
    scan = decoders.scan(store, source)
    assert isinstance(scan, Scan), scan
    return scan


def frames(
    decoders: VideoDecoders,
    store: ObjectStore,
    source: Source,
    scan: Scan,
    pts: Sequence[int],
    packets: Packets | None,
) -> list[Frame]:
    found = list(decoders.frames(store, source, scan.header, pts, PIXELS, packets=packets))
    assert [frame.pts for frame in found] == list(pts)
    return found


def index_of(frame: Frame) -> int:
    assert isinstance(frame.result, Decoded), frame.result
    assert frame.result.pixels is not None
    return shown_index(frame.result.pixels)


def same(first: Frame, second: Frame) -> bool:
    one, other = first.result, second.result
    assert isinstance(one, Decoded), one
    assert isinstance(other, Decoded), other
    assert first.content is not None
    return (
        first.content == second.content
        and np.array_equal(first.signature, second.signature)
        and np.array_equal(one.pixels, other.pixels)
        and (one.width, one.height, one.format) == (other.width, other.height, other.format)
    )


@pytest.mark.parametrize("name", [*TIMED, *UNTIMED])
def test_frames__each_is_the_one_that_was_asked_for(
    decoders: VideoDecoders, store: LocalStore, put: Put, name: str
) -> None:
    clip = (TIMED | UNTIMED)[name]
    source = put(name, body_of(name))
    scan = scanned(decoders, store, source)
    displayed = scan.packets.displayed().tolist()
    hidden = 40 - len(displayed)
    assert scan.faults == ()
    assert hidden == (5 if "edit list" in name else 0)
    assert (scan.header.width, scan.header.height) == (320, 240)
    assert scan.header.timed == (name in TIMED)
    assert scan.indexed == (name.endswith((".mp4", ".mov")) or name == "h264.m4v")
    whole = frames(decoders, store, source, scan, displayed, scan.packets)
    assert [index_of(frame) for frame in whole] == list(range(hidden, 40))
    assert all(isinstance(f.result, Decoded) and f.result.format == scan.header.codec for f in whole)
    rng = np.random.default_rng(5)
    for count in (1, 3, 10):
        places = np.sort(rng.choice(len(displayed), count, replace=False))
        pts = [displayed[place] for place in places]
        for packets in (scan.packets, None):
            some = frames(decoders, store, source, scan, pts, packets)
            assert all(same(frame, whole[place]) for frame, place in zip(some, places, strict=True))
    seconds = np.array(displayed) * float(scan.header.time_base)
    times = clip.times or range(40)
    expected = np.array(times[hidden:]) / clip.rate
    assert np.abs((seconds - seconds[0]) - (expected - expected[0])).max() < 0.0015


@pytest.mark.parametrize("name", [name for name in TIMED if "edit list" not in name])
def test_scan__timestamps_are_those_of_ffprobe(
    decoders: VideoDecoders, store: LocalStore, put: Put, name: str
) -> None:
    source = put(name, body_of(name))
    scan = scanned(decoders, store, source)
    for what in ("packet", "frame"):
        command = [
            tool("ffprobe", debian="ffmpeg"),
            "-v",
            "error",
            "-select_streams",
            "v:0",
            "-show_entries",
            f"{what}=pts",
        ]
        command += ["-of", "csv=p=0", str(store.root / source.key)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        assert sorted(int(line.strip(",")) for line in said) == scan.packets.displayed().tolist()


@pytest.mark.parametrize("name", ["h264.mp4", "open groups.mp4", "open groups.mkv", "h264.ts", "vp9.webm"])
def test_scan__segments_lose_and_double_nothing(
    decoders: VideoDecoders, store: LocalStore, put: Put, name: str
) -> None:
    source = put(name, body_of(name))
    scan = scanned(decoders, store, source)
    whole = frames(decoders, store, source, scan, scan.packets.displayed().tolist(), scan.packets)
    borders = [None, *scan.packets.key_frames().tolist()[1:], None]
    assert len(borders) == 5
    found: list[Frame] = []
    for start, end in pairwise(borders):
        part = replace(source, segment=Segment(scan.header.stream, start, end))
        of_part = scanned(decoders, store, part)
        pts = of_part.packets.displayed().tolist()
        assert all((start is None or start <= one) and (end is None or one < end) for one in pts)
        found += frames(decoders, store, part, of_part, pts, of_part.packets)
    assert len(found) == len(whole)
    assert all(same(one, other) for one, other in zip(found, whole, strict=True))


@pytest.mark.parametrize(
    "name", ["h264.mp4", "fragments.mp4", "h264.mkv", "h264.ts", "mpeg4.avi", "vp9.webm"]
)
def test_key_frames_after__are_key_frames_at_or_after(
    decoders: VideoDecoders, store: LocalStore, put: Put, name: str
) -> None:
    source = put(name, body_of(name))
    scan = scanned(decoders, store, source)
    keys = scan.packets.key_frames()
    found = decoders.key_frames_after(store, source, [0.0, 1.5, 2.95, 3.6])
    assert isinstance(found, KeyFrames)
    assert found.header.stream == scan.header.stream
    assert found.pts == (keys[0], keys[2], keys[3], None)


def test_key_frames_after__none_without_timestamps(
    decoders: VideoDecoders, store: LocalStore, put: Put
) -> None:
    found = decoders.key_frames_after(store, put("raw.h264", body_of("raw.h264")), [0.0, 1.0])
    assert isinstance(found, KeyFrames)
    assert (found.header.timed, found.pts) == (False, ())


def test_scan__chooses_the_best_stream_and_says_which(
    decoders: VideoDecoders, store: LocalStore, put: Put
) -> None:
    small, large = Clip(form="matroska", size=(160, 120), frames=3), Clip(first_index=100)
    source = put("two.mkv", make_streams([small, large]))
    scan = scanned(decoders, store, source)
    assert (scan.header.stream, scan.header.width) == (1, 320)
    found = frames(decoders, store, source, scan, scan.packets.displayed().tolist(), scan.packets)
    assert [index_of(frame) for frame in found] == list(range(100, 140))
    other = replace(source, segment=Segment(stream=0))
    scan = scanned(decoders, store, other)
    found = frames(decoders, store, other, scan, scan.packets.displayed().tolist(), scan.packets)
    assert [index_of(frame) for frame in found] == list(range(3))


def test_frames__a_timestamp_between_two_frames_is_nobodys(
    decoders: VideoDecoders, store: LocalStore, put: Put
) -> None:
    source = put("a.mp4", body_of("h264.mp4"))
    scan = scanned(decoders, store, source)
    displayed = scan.packets.displayed().tolist()
    pts = [displayed[3], displayed[3] + 1, displayed[7]]
    for packets in (scan.packets, None):
        before, between, after = frames(decoders, store, source, scan, pts, packets)
        assert (index_of(before), index_of(after)) == (3, 7)
        assert isinstance(between.result, Skipped)


def test_frames__sought_by_a_new_process_are_those_of_a_whole_decode(
    decoders: VideoDecoders, store: LocalStore, put: Put
) -> None:
    source = put("open.mp4", make(Clip(frames=60, gop=20, b_frames=3, options={"x264-params": "open-gop=1"})))
    found = scanned(decoders, store, source)
    everything = found.packets.displayed().tolist()
    whole = {frame.pts: frame for frame in frames(decoders, store, source, found, everything, None)}
    for start in (20, 40):
        wanted = found.packets.displayed()[[start + 5, start + 12]].tolist()
        with VideoDecoders(1, Limits(), cache_bytes=2**25) as new:
            sought = list(new.frames(store, source, found.header, wanted, PIXELS, packets=None))
        assert [frame.content for frame in sought] == [whole[pts].content for pts in wanted]


def test_frames__may_be_closed_early(decoders: VideoDecoders, store: LocalStore, put: Put) -> None:
    source = put("a.mp4", body_of("h264.mp4"))
    scan = scanned(decoders, store, source)
    displayed = scan.packets.displayed().tolist()
    for _ in range(3):
        found = decoders.frames(store, source, scan.header, displayed, PIXELS, packets=scan.packets)
        assert index_of(next(found)) == 0
        found.close()
    assert index_of(frames(decoders, store, source, scan, displayed[39:], scan.packets)[0]) == 39


def test_frames__from_several_threads(decoders: VideoDecoders, store: LocalStore, put: Put) -> None:
    names = ["h264.mp4", "vp9.webm", "h264.ts"]
    sources = [put(name, body_of(name)) for name in names]

    def indices(source: Source) -> list[int]:
        scan = scanned(decoders, store, source)
        displayed = scan.packets.displayed().tolist()
        return [index_of(f) for f in frames(decoders, store, source, scan, displayed, scan.packets)]

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(indices, sources * 3)) == [list(range(40))] * 9


@pytest.mark.parametrize("image_format", ["png", "jpg", "webp"])
def test_frames__as_whole_images(
    decoders: VideoDecoders, store: LocalStore, put: Put, image_format: str
) -> None:
    from io import BytesIO

    from PIL import Image

    source = put("a.mov", body_of("turned.mov"))
    scan = scanned(decoders, store, source)
    request = DecodeRequest.model_validate({"image_format": image_format})
    pts = scan.packets.displayed().tolist()[5:6]
    (first,) = decoders.frames(store, source, scan.header, pts, request, packets=scan.packets)
    (again,) = decoders.frames(store, source, scan.header, pts, request, packets=None)
    assert isinstance(first.result, Decoded)
    assert isinstance(again.result, Decoded)
    assert first.result.image is not None
    assert first.result.image == again.result.image
    image = Image.open(BytesIO(first.result.image))
    assert (image.format, image.size, image.mode) == (
        {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}[image_format],
        (320, 240),
        "RGB",
    )
    assert shown_index(np.asarray(image)) == 5


def odd_child(behaviour: str) -> tuple[str, ...]:
    """Return the command of a child that does something of its own before the frame that shows 23."""
    script = f"""
        import os, signal, sys, time
        sys.path.insert(0, {str(ROOT)!r})
        from worker.video import child, decoding
        real = decoding._Decoder.fed
        def fed(self, packet):
            if packet.pts == 23 * packet.stream.time_base.denominator // 10:
                {behaviour}
            return real(self, packet)
        decoding._Decoder.fed = fed
        child.main()
    """
    return (sys.executable, "-c", textwrap.dedent(script))


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", SkipReason.DECODE_CRASHED),
        ("time.sleep(60)", SkipReason.DECODE_TIMEOUT),
        ("raise SystemExit(71)", SkipReason.OUT_OF_MEMORY),
    ],
)
def test_frames__a_process_that_dies_costs_its_group_alone(
    store: LocalStore, put: Put, behaviour: str, reason: SkipReason
) -> None:
    source = put("a.mp4", body_of("h264.mp4"))
    limits = Limits(decode_timeout_s=1.5)
    with VideoDecoders(1, limits, cache_bytes=2**25, command=odd_child(behaviour)) as odd:
        scan = scanned(odd, store, source)
        displayed = scan.packets.displayed().tolist()
        found = frames(odd, store, source, scan, displayed, scan.packets)
        good = [index_of(frame) for frame in found if isinstance(frame.result, Decoded)]
        lost = [index for index, frame in enumerate(found) if isinstance(frame.result, Skipped)]
        assert lost == [index for index in range(40) if index not in good]
        assert set(range(20)) | set(range(30, 40)) <= set(good)
        assert 23 in lost
        assert {frame.result.reason for frame in found if isinstance(frame.result, Skipped)} == {reason}


def test_frames__no_more_than_a_few_processes_die_for_one_video(store: LocalStore, put: Put) -> None:
    source = put("a.avi", body_of("mjpeg.avi"))
    script = f"""
        import os, signal, sys
        sys.path.insert(0, {str(ROOT)!r})
        from worker.video import child
        child._Videos._frames = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        child.main()
    """
    command = (sys.executable, "-c", textwrap.dedent(script))
    with VideoDecoders(1, Limits(), cache_bytes=2**25, command=command) as odd:
        scan = scanned(odd, store, source)
        found = frames(odd, store, source, scan, scan.packets.displayed().tolist(), scan.packets)
    assert {frame.result.reason for frame in found if isinstance(frame.result, Skipped)} == {
        SkipReason.DECODE_CRASHED
    }
    assert len(found) == 40


def test_frames__waiting_for_a_slow_store_is_no_hang(store: LocalStore, put: Put) -> None:
    import time

    source = put("a.mp4", body_of("h264.mp4"))

    class Slow(LocalStore):
        def get(self, key: str, *, etag: str | None = None, size: int | None = None) -> bytes:
            time.sleep(1.2)
            return super().get(key, etag=etag, size=size)

    slow = Slow(store.root)
    with VideoDecoders(1, Limits(decode_timeout_s=1.0), cache_bytes=2**25) as own:
        scan = scanned(own, slow, source)
        assert len(frames(own, slow, source, scan, scan.packets.displayed().tolist(), scan.packets)) == 40


def test_child__has_no_credentials_and_no_store(
    store: LocalStore, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    script = f"""
        import os, sys
        sys.path.insert(0, {str(ROOT)!r})
        from worker.video import child
        def answer(self, question):
            names = [name for name in os.environ if "AWS" in name]
            known = sorted({{"torch", "boto3", "pyarrow", "faiss", "worker.storage.s3"}} & set(sys.modules))
            raise SystemExit(f"{{names}} {{known}} {{sorted(os.listdir('/proc/self/fd'))[:3]}}")
        child._Videos.answer = answer
        child.main()
    """
    command = (sys.executable, "-c", textwrap.dedent(script))
    with VideoDecoders(1, Limits(), cache_bytes=2**25, command=command) as own:
        result = own.scan(store, put("a.mp4", b"not empty"))
    assert isinstance(result, Skipped)
    assert "[] [] ['0', '1', '2']" in result.detail


def test_exit__leaves_no_process_behind(store: LocalStore, put: Put) -> None:
    with VideoDecoders(1, Limits(), cache_bytes=2**25) as own:
        own.scan(store, put("a.mp4", body_of("h264.mp4")))
        child = own._children._idle[-1]
        assert child is not None
        pid = child.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


@pytest.fixture(scope="module")
def large() -> bytes:
    """A movie of 2 MB whose index comes last, each frame a key frame."""
    return make(Clip(form="mov", codec="mjpeg", pixel_format="yuvj420p", frames=200, size=(1280, 960)))


@pytest.mark.parametrize("kind", ["moto", "nanio"])
def test_reads__little_of_a_bucket_and_told(
    decoders: VideoDecoders, large: bytes, kind: str, request: pytest.FixtureRequest
) -> None:
    server: S3Server = request.getfixturevalue(kind)
    store = S3Store(server.make_bucket(f"videos-{kind}"), "", client_of(server))
    store.put("large.mov", padded(large, 16 * 2**20), media_type="video/quicktime")
    found = store.head("large.mov")
    assert found is not None
    source = Source(found.key, found.etag, found.size)
    scan = scanned(decoders, store, source)
    scanning = decoders.traffic(source)
    assert len(scan.packets.displayed()) == 200
    assert scanning.bytes_read == store.usage.bytes_read < 400_000
    assert scanning.requests == store.usage.requests["GET"] <= 6
    pts = scan.packets.displayed()[::60].tolist()
    some = frames(decoders, store, source, scan, pts, scan.packets)
    assert [index_of(frame) for frame in some] == [0, 60, 120, 180]
    sizes = scan.packets.size[np.isin(scan.packets.pts, pts)]
    read = decoders.traffic(source).bytes_read - scanning.bytes_read
    assert read <= sizes.sum() + 65536
    decoders.forget(source)
    assert decoders.traffic(source).bytes_read == 0


def test_reads__most_of_it_at_once(
    decoders: VideoDecoders, store: LocalStore, put: Put, large: bytes
) -> None:
    source = put("large.mov", large)
    scan = scanned(decoders, store, source)
    pts = scan.packets.displayed()[::2].tolist()
    assert len(frames(decoders, store, source, scan, pts, scan.packets)) == 100
    traffic = decoders.traffic(source)
    assert traffic.way == "whole"
    assert traffic.bytes_read <= source.size + 400_000


def test_frames__of_an_object_that_is_replaced_meanwhile(
    decoders: VideoDecoders, moto: S3Server, large: bytes
) -> None:
    store = S3Store(moto.make_bucket("replaced"), "", client_of(moto))
    store.put("a.mov", large, media_type="video/quicktime")
    found = store.head("a.mov")
    assert found is not None
    source = Source(found.key, found.etag, found.size)
    scan = scanned(decoders, store, source)
    pts = scan.packets.displayed()[::60].tolist()
    store.put("a.mov", large[:-1] + b"x", media_type="video/quicktime")
    results = [
        f.result for f in decoders.frames(store, source, scan.header, pts, PIXELS, packets=scan.packets)
    ]
    assert len(results) == len(pts)
    assert results[-1] == Skipped(SkipReason.CHANGED, "changed since it was listed")
