"""Cut commands, run by a real ffmpeg: what they write is compared with a full decode of the video."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.tools import tool
from worker.video.cutting import Clip, clip_name, cut_command

LOSSLESS = ("-c:v", "libx264", "-qp", "0")
B_FRAMES = {"bf": "3", "g": "12", "x264-params": "b-adapt=0:scenecut=0"}
EVEN = tuple(range(30))
UNEVEN = tuple(np.cumsum([0, *([300, 417, 1001, 77] * 8)]).tolist())


@dataclass(frozen=True)
class Made:
    """A video to make: timestamps in units of its time base, and how it is written."""

    file: str
    codec: str = "libx264"
    times: Sequence[int] = EVEN
    time_base: Fraction = Fraction(1, 25)
    options: tuple[tuple[str, str], ...] = tuple(B_FRAMES.items())
    size: tuple[int, int] = (160, 120)
    turned: int = 0


@dataclass(frozen=True)
class Seen:
    """The decoded frames of a video."""

    stream: int
    pts: list[int]
    time_s: list[float]
    pictures: list[NDArray[np.uint8]]


TIMED = (
    Made("even.mp4"),
    Made("uneven.mp4", times=UNEVEN, time_base=Fraction(1, 9000)),
    Made("odd time base.mp4", times=range(0, 30_030, 1001), time_base=Fraction(1, 24_000)),
    Made("milliseconds.mkv", times=range(0, 1200, 40), time_base=Fraction(1, 1000)),
    Made("late.ts", times=range(450_000, 558_000, 3600), time_base=Fraction(1, 90_000)),
    Made("mpeg4.avi", codec="mpeg4", options=()),
    Made("mpeg4 b.avi", codec="mpeg4", options=(("bf", "2"),)),
    Made("it's $(odd)!.mp4"),
)


@pytest.fixture
def ffmpeg() -> str:
    return tool("ffmpeg", debian="ffmpeg")


@pytest.mark.usefixtures("ffmpeg")
@pytest.mark.parametrize("made", TIMED, ids=lambda made: made.file)
@pytest.mark.parametrize(("first", "last"), [(0, 29), (7, 13), (11, 12), (27, 29)])
def test_cut_command__gives_the_frames_of_the_sequence(
    made: Made, first: int, last: int, tmp_path: Path
) -> None:
    whole = make(made, tmp_path)
    same_frames(cut(whole, made, tmp_path, first, last), whole, first, last)


@pytest.mark.usefixtures("ffmpeg")
@pytest.mark.parametrize(
    "made",
    [
        Made("long.mp4", times=range(400), size=(32, 32), options=(("g", "50"), ("bf", "3"))),
        Made("long.mkv", times=range(400), size=(32, 32), options=(("g", "250"), ("bf", "3"))),
        Made(
            "open.mov",
            codec="libx265",
            times=range(400),
            size=(64, 64),
            options=(("x265-params", "keyint=40:open-gop=1:bframes=4:log-level=none"),),
        ),
        Made("late.mp4", times=range(2500, 2900), size=(32, 32)),
        Made("long.ts", times=range(400), size=(32, 32), options=(("g", "300"),)),
    ],
    ids=lambda made: made.file,
)
def test_cut_command__starts_near_the_clip_and_still_gives_its_frames(made: Made, tmp_path: Path) -> None:
    whole = make(made, tmp_path)
    command = cut_command(clip_of(whole, made, 333, 339))
    assert (" -ss " in command) is not made.file.endswith(".ts")
    same_frames(cut(whole, made, tmp_path, 333, 339), whole, 333, 339)


@pytest.mark.usefixtures("ffmpeg")
def test_cut_command__counts_frames_where_there_are_no_timestamps(tmp_path: Path) -> None:
    made = Made("raw.h264")
    whole = make(made, tmp_path)
    assert whole.pts == [None] * 30
    same_frames(cut(whole, made, tmp_path, 7, 13, timed=False), whole, 7, 13)


@pytest.mark.usefixtures("ffmpeg")
def test_cut_command__takes_the_stream_that_it_names(tmp_path: Path) -> None:
    first, second = Made("first.mkv"), Made("second.mkv", size=(80, 60))
    for made in (first, second):
        make(made, tmp_path)
    together(tmp_path / "both.mkv", [tmp_path / first.file, tmp_path / second.file])
    whole = seen(tmp_path / "both.mkv", stream=1)
    assert whole.stream == 1
    same_frames(cut(whole, replace(second, file="both.mkv"), tmp_path, 5, 9), whole, 5, 9)


@pytest.mark.usefixtures("ffmpeg")
def test_cut_command__keeps_odd_sides(tmp_path: Path) -> None:
    made = Made("odd.mkv", codec="ffv1", size=(161, 121), options=())
    whole = make(made, tmp_path)
    got = cut(whole, made, tmp_path, 3, 8)
    assert len(got.pictures) == 6
    difference = np.stack(got.pictures).astype(int) - np.stack(whole.pictures[3:9])
    assert np.abs(difference).mean() < 2


@pytest.mark.usefixtures("ffmpeg")
def test_cut_command__turns_what_the_container_says_is_turned(tmp_path: Path) -> None:
    made = Made("turned.mp4", turned=90)
    whole = make(made, tmp_path)
    got = cut(whole, made, tmp_path, 4, 6)
    difference = np.stack(got.pictures).astype(int) - np.rot90(np.stack(whole.pictures[4:7]), axes=(1, 2))
    assert np.abs(difference).mean() < 2


@pytest.mark.usefixtures("ffmpeg")
def test_cut_command__a_single_frame_is_a_picture_and_nothing_is_overwritten(tmp_path: Path) -> None:
    made = Made("late.ts", times=range(450_000, 558_000, 3600), time_base=Fraction(1, 90_000))
    whole = make(made, tmp_path)
    command = cut_command(clip_of(whole, made, 17, 17))
    assert run(command, tmp_path).returncode == 0
    with av.open(tmp_path / "clip.png") as picture:
        (frame,) = picture.decode(video=0)
    difference = frame.to_ndarray(format="rgb24").astype(int) - whole.pictures[17]
    assert np.abs(difference).max() <= 2
    again = run(command, tmp_path)
    assert again.returncode != 0
    assert "already exists" in again.stderr


@pytest.mark.usefixtures("ffmpeg")
@pytest.mark.parametrize(
    ("file", "without"),
    [
        ("late.ts", "-copyts"),
        ("uneven.mp4", "-enc_time_base 1/90000"),
    ],
)
def test_cut_command__needs_all_its_parts(file: str, without: str, tmp_path: Path) -> None:
    made = next(one for one in TIMED if one.file == file)
    whole = make(made, tmp_path)
    command = cut_command(clip_of(whole, made, 7, 13), codec=LOSSLESS)
    assert without in command
    run(command.replace(without, ""), tmp_path)
    with pytest.raises((AssertionError, LookupError, OSError)):
        same_frames(seen(tmp_path / "clip.mp4"), whole, 7, 13)


def test_cut_command__is_one_that_can_be_read() -> None:
    clip = Clip(
        video="night/cam 1.mp4",
        stream=0,
        first=512,
        last=1024,
        start_s=40.0,
        name=clip_name("night/cam 1-099-mp4.png", "night/cam 1-100-mp4.png"),
    )
    assert cut_command(clip) == (
        "ffmpeg -nostdin -copyts -noaccurate_seek -seek_timestamp 1 -ss 30.000 -i './night/cam 1.mp4' -map 0:0 "
        "-vf trim=start_pts=512:end_pts=1025,setpts=PTS-STARTPTS -fps_mode passthrough "
        "-enc_time_base 1/90000 -c:v libx264 -crf 17 './night_cam 1-099-mp4-to-100.mp4'"
    )


def test_clip_name__ends_of_long_names_stay() -> None:
    name = clip_name("é" * 500 + "-7-mp4.png", "é" * 500 + "-9-mp4.png")
    assert name.endswith("é-7-mp4-to-9")
    assert len(name.encode()) < 220


def make(made: Made, folder: Path) -> Seen:
    """Encode moving pictures, and decode them again."""
    path = folder / made.file
    formats = {".ts": "mpegts", ".h264": "h264"}
    with av.open(path, "w", format=formats.get(path.suffix)) as out:
        stream: Any = out.add_stream(made.codec, rate=25, options=dict(made.options))
        stream.width, stream.height = made.size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = stream.time_base = made.time_base
        for number, time in enumerate(made.times):
            frame = av.VideoFrame.from_ndarray(moving(number, *made.size), format="rgb24")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = time, made.time_base
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    if made.turned:
        turn(path, made.turned)
    return seen(path)


def moving(number: int, width: int, height: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    colours = [(x + 7 * number) % 256, (2 * y + 3 * number) % 256, np.full_like(x, 37 * number % 256)]
    return np.stack(colours, axis=2).astype(np.uint8)


def turn(path: Path, degrees: int) -> None:
    """Write a display matrix, which PyAV does not, by ffmpeg itself."""
    upright = path.with_name("upright.mp4")
    path.rename(upright)
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", upright, "-c", "copy", "-metadata:s:v:0", f"rotate={degrees}", path],
        check=True,
    )


def together(path: Path, parts: Sequence[Path]) -> None:
    """Write the streams of several files into one."""
    with av.open(path, "w") as out:
        files = [av.open(part) for part in parts]
        copies = [out.add_stream_from_template(file.streams.video[0]) for file in files]
        for file, copy in zip(files, copies, strict=True):
            for packet in file.demux(video=0):
                if packet.dts is not None:
                    packet.stream = copy
                    out.mux(packet)
            file.close()


def seen(path: Path, stream: int = 0) -> Seen:
    with av.open(path) as container:
        chosen = container.streams.video[stream]
        frames = list(container.decode(chosen))
        assert chosen.time_base
        return Seen(
            chosen.index,
            [frame.pts for frame in frames],
            [float((frame.pts or 0) * chosen.time_base) for frame in frames],
            [frame.to_ndarray(format="rgb24") for frame in frames],
        )


def clip_of(whole: Seen, made: Made, first: int, last: int, *, timed: bool = True) -> Clip:
    pts = whole.pts if timed else list(range(len(whole.pts)))
    return Clip(
        video=made.file,
        stream=whole.stream,
        first=pts[first],
        last=pts[last],
        start_s=whole.time_s[first],
        name="clip",
        timed=timed,
        odd=any(side % 2 for side in made.size),
    )


def cut(whole: Seen, made: Made, folder: Path, first: int, last: int, *, timed: bool = True) -> Seen:
    done = run(cut_command(clip_of(whole, made, first, last, timed=timed), codec=LOSSLESS), folder)
    assert done.returncode == 0, done.stderr
    return seen(folder / "clip.mp4")


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", command], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def same_frames(got: Seen, whole: Seen, first: int, last: int) -> None:
    """Compare a clip with frames of its video: their number, every pixel, and the times between them."""
    wanted = slice(first, last + 1)
    assert len(got.pictures) == last + 1 - first
    assert np.array_equal(np.stack(got.pictures), np.stack(whole.pictures[wanted]))
    if None not in whole.pts:
        times = np.array(whole.time_s[wanted])
        assert np.array(got.time_s) == pytest.approx(times - times[0], abs=1.01 / 90_000)
