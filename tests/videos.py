"""Small videos, made with FFmpeg's encoders, of which every frame says which one it is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 320, 240
_BLOCK = 64
_COLUMNS, _ROWS = 4, 3
_BLACK, _WHITE = 20, 230

QUIET: dict[str, dict[str, str]] = {
    "libx264": {"preset": "veryfast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:pools=none:frame-threads=1"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8"},
    "libsvtav1": {"preset": "10", "crf": "20", "svtav1-params": "lp=1:enable-tf=0"},
}


@dataclass(frozen=True)
class Clip:
    """What to make. Frame i is displayed at `times[i] / rate` seconds; times are 0, 1, 2, ... where none are given."""

    form: str = "mp4"
    codec: str = "libx264"
    frames: int = 40
    gop: int = 10
    b_frames: int = 2
    rate: int = 10
    times: tuple[int, ...] | None = None
    pixel_format: str = "yuv420p"
    size: tuple[int, int] = (WIDTH, HEIGHT)
    options: dict[str, str] = field(default_factory=dict)
    muxing: dict[str, str] = field(default_factory=dict)
    sound: bool = False
    rotation: tuple[float, bool] | None = None
    """Degrees and whether it is flipped, as the display matrix shall say."""
    first_index: int = 0


def make(clip: Clip) -> bytes:
    """Return the file."""
    return make_streams([clip])


def make_streams(clips: Sequence[Clip]) -> bytes:
    """Return one file with a video stream for each clip; the first one says of which form."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "video"
        _write(path, clips)
        return path.read_bytes()


def _write(path: Path, clips: Sequence[Clip]) -> None:
    first = clips[0]
    with av.open(str(path), "w", format=first.form, options=first.muxing) as container:
        streams = [_stream(container, clip) for clip in clips]
        sound = (
            container.add_stream("mp2" if first.form in {"mpeg", "mpegts"} else "aac", rate=44100)
            if first.sound
            else None
        )
        for index in range(max(clip.frames for clip in clips)):
            for clip, stream in zip(clips, streams, strict=True):
                if index < clip.frames:
                    container.mux(stream.encode(_frame(clip, index)))
            if sound is not None:
                container.mux(sound.encode(_silence(index, first.rate)))
        for stream in [*streams, *([sound] if sound else [])]:
            container.mux(stream.encode(None))


def shown_index(pixels: NDArray[np.uint8]) -> int:
    """Return the index that an upright frame of (h, w, 3) pixels shows, in any size."""
    height, width = pixels.shape[:2]
    bits = 0
    for place in range(_COLUMNS * _ROWS):
        row, column = divmod(place, _COLUMNS)
        y = round((row + 0.5) * _BLOCK * height / HEIGHT)
        x = round((column + 0.5) * _BLOCK * width / WIDTH)
        value = float(pixels[y - 2 : y + 3, x - 2 : x + 3].mean())
        assert abs(value - 128) > 50, f"no black or white block at {x}, {y}: {value}"
        bits |= int(value > 128) << place
    return bits


def picture(index: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> NDArray[np.uint8]:
    """Return what a frame shows, (h, w, 3) upright: its index in blocks, beside a texture that moves."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    grey = 128 + 60 * np.sin((x + 5 * index) / 9) * np.cos((y - 3 * index) / 7)
    for place in range(_COLUMNS * _ROWS):
        row, column = divmod(place, _COLUMNS)
        block = np.s_[row * _BLOCK : (row + 1) * _BLOCK, column * _BLOCK : (column + 1) * _BLOCK]
        grey[block] = _WHITE if index >> place & 1 else _BLACK
    rgb = np.repeat(grey[:, :, None], 3, axis=2).astype(np.uint8)
    rgb[_ROWS * _BLOCK :, : WIDTH // 2] = (200, 40, 40)
    rows = np.arange(size[1]) * HEIGHT // size[1]
    columns = np.arange(size[0]) * WIDTH // size[0]
    return rgb[rows][:, columns]


def _stream(container: Any, clip: Clip) -> Any:
    options = {**QUIET.get(clip.codec, {}), "g": str(clip.gop), "keyint_min": str(clip.gop), **clip.options}
    if clip.codec in {"libx264", "mpeg4", "mpeg2video", "mpeg1video"}:
        options["bf"] = str(clip.b_frames)
    options["sc_threshold"] = "0" if clip.codec == "libx264" else "1000000000"
    if clip.codec not in {"libx264", "mpeg4", "mpeg2video", "mpeg1video"}:
        del options["sc_threshold"]
    if clip.codec == "libx265":
        given = clip.options.get("x265-params", "")
        options["x265-params"] = (
            f"{QUIET['libx265']['x265-params']}:keyint={clip.gop}:min-keyint={clip.gop}:scenecut=0:{given}"
        )
    stream = container.add_stream(clip.codec, rate=clip.rate, options=options)
    stream.width, stream.height = _stored(clip)
    stream.pix_fmt = clip.pixel_format
    stream.codec_context.time_base = Fraction(1, clip.rate)
    stream.codec_context.thread_count = 1
    if clip.rotation is not None:
        stream.set_display_rotation(clip.rotation[0], hflip=clip.rotation[1])
    return stream


def _stored(clip: Clip) -> tuple[int, int]:
    sideways = clip.rotation is not None and clip.rotation[0] % 180 != 0
    return clip.size[::-1] if sideways else clip.size


def _frame(clip: Clip, index: int) -> av.VideoFrame:
    upright = picture(index + clip.first_index, clip.size)
    frame = av.VideoFrame.from_ndarray(_turned(upright, clip.rotation), format="rgb24")
    frame = frame.reformat(format=clip.pixel_format, interpolation="BILINEAR")
    frame.pts = index if clip.times is None else clip.times[index]
    frame.time_base = Fraction(1, clip.rate)
    return frame


def _turned(upright: NDArray[np.uint8], rotation: tuple[float, bool] | None) -> NDArray[np.uint8]:
    """Return what must be stored so that the display matrix makes it upright: turned clockwise by its angle."""
    if rotation is None:
        return upright
    degrees, flipped = rotation
    before = upright[:, ::-1] if flipped else upright
    return np.ascontiguousarray(np.rot90(before, -round(degrees / 90)))


def _silence(index: int, rate: int) -> av.AudioFrame:
    count = 44100 // rate
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 2 * count), np.int16), format="s16", layout="stereo")
    frame.sample_rate = 44100
    frame.pts = index * count
    return frame


def flipped_bits(body: bytes, places: Sequence[int]) -> bytes:
    """Return a body with one bit of some bytes turned round."""
    damaged = bytearray(body)
    for place in places:
        damaged[place] ^= 0x10
    return bytes(damaged)


def padded(body: bytes, padding_bytes: int) -> bytes:
    """Return an MP4 whose index comes last with so many bytes between its first box and its media."""
    first = next(boxes(body))[2]
    longer = bytearray(body)
    at = body.find(b"stco")
    for place in range(int.from_bytes(body[at + 8 : at + 12], "big")):
        entry = np.s_[at + 12 + 4 * place : at + 16 + 4 * place]
        longer[entry] = (int.from_bytes(body[entry], "big") + padding_bytes).to_bytes(4, "big")
    padding = padding_bytes.to_bytes(4, "big") + b"free" + bytes(padding_bytes - 8)
    return bytes(longer[:first]) + padding + bytes(longer[first:])


def boxes(body: bytes) -> Iterator[tuple[str, int, int]]:
    """Yield the top-level boxes of an MP4: kind, start and stop."""
    at = 0
    while at + 8 <= len(body):
        length = int.from_bytes(body[at : at + 4], "big")
        yield body[at + 4 : at + 8].decode("latin-1"), at, at + length
        at += max(8, length)
