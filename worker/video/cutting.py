"""Commands that cut selected frames out of their video, for ffmpeg 5.1 and newer."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

CODEC = ("-c:v", "libx264", "-crf", "17")
SEEK_MARGIN_S = 10.0
MAX_NAME_BYTES = 200
_FOUND_BY_INDEX = frozenset({".m4v", ".mkv", ".mov", ".mp4", ".webm"})


@dataclass(frozen=True, slots=True)
class Clip:
    """The frames of one video stream from a first to a last one, both included; the same one is a clip of one frame.

    `video` is the key and `stream` the number in its container; `first` and `last` are pts in units of the stream's time
    base, `start_s` the first one in seconds; `name` is the clip's own, without an ending. Where the stream has no
    timestamps (`timed` is False), pts are displayed indices. `odd`: the width or the height is an odd number of pixels.
    """

    video: str
    stream: int
    first: int
    last: int
    start_s: float
    name: str
    timed: bool = True
    odd: bool = False


def clip_name(first: str, last: str) -> str:
    """Return a name for what lies between two frames of one video, given by their sample names.

    `sub/video_1-099-mp4.png` to `sub/video_1-105-mp4.png` is `sub_video_1-099-mp4-to-105`; a single frame keeps its name.
    Of a long one the end is kept, which tells frames apart.
    """
    flat = first.removesuffix(".png").replace("/", "_").encode()
    whole = flat[-MAX_NAME_BYTES:].decode(errors="ignore")
    return whole if first == last else f"{whole}-to-{last.rsplit('-', 2)[-2]}"


def cut_command(clip: Clip, *, codec: Sequence[str] = CODEC) -> str:
    """Return a command for a POSIX shell that writes the clip to the working directory, below which the video lies.

    It writes every frame of the stream from the first to the last once, with the times between them to 1/90000 s, upright and
    without sound; a single frame as PNG, more as MP4 with `codec`, in 4:4:4 where a side is odd. Nothing is overwritten.
    The video is read from its beginning, or from SEEK_MARGIN_S before the clip where its container has an index.
    """
    words = [
        *("ffmpeg", "-nostdin"),
        *(_absolute(clip) if clip.timed else ()),
        *("-i", f"./{clip.video}"),
        *("-map", f"0:{clip.stream}"),
        *("-vf", ",".join(_filters(clip))),
        *("-fps_mode", "passthrough"),
        *_output(clip, codec),
    ]
    return shlex.join(words)


def _absolute(clip: Clip) -> tuple[str, ...]:
    """Keep the timestamps of the container, which would else be moved to 0; then start close to the clip."""
    start_s = clip.start_s - SEEK_MARGIN_S
    if start_s <= 0 or PurePosixPath(clip.video).suffix.lower() not in _FOUND_BY_INDEX:
        return ("-copyts",)
    return ("-copyts", "-noaccurate_seek", "-seek_timestamp", "1", "-ss", f"{start_s:.3f}")


def _filters(clip: Clip) -> list[str]:
    """Return what keeps the frames; the ends of `trim` are exclusive."""
    if not clip.timed:
        kept = [f"trim=start_frame={clip.first}:end_frame={clip.last + 1}", "setpts=N/(FRAME_RATE*TB)"]
    else:
        kept = [f"trim=start_pts={clip.first}:end_pts={clip.last + 1}", "setpts=PTS-STARTPTS"]
    # H.264 takes odd sides only where every pixel has a colour of its own.
    return [*kept, "format=yuv444p"] if clip.odd and clip.first != clip.last else kept


def _output(clip: Clip, codec: Sequence[str]) -> tuple[str, ...]:
    if clip.first == clip.last:
        return ("-frames:v", "1", "-update", "1", f"./{clip.name}.png")
    # An encoder counts in units of one over the frame rate unless told, too coarse for a variable one.
    return ("-enc_time_base", "1/90000", *codec, f"./{clip.name}.mp4")
