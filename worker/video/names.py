"""What a frame is called."""

import re

from worker.media.extensions import kind_of

_FRAME = re.compile(r"(?P<stem>.*)-(?:\d+|ptsm?\d+)-(?P<extension>[^-/.]+)\.png", re.DOTALL)


def frame_name(key: str, *, index: int | None, pts: int, frames: int | None) -> str:
    """Return the sample name of a frame of the video at `key`, as LightlyOne writes it: `sub/video_1-099-mp4.png`.

    The index counts displayed frames from 0, with as many digits as the number of `frames`. Where that is not known, the
    name has the timestamp instead, `sub/video_1-pts90000-mp4.png`, with an m for a minus.
    """
    stem, _, extension = key.rpartition(".")
    if index is None or frames is None:
        number = f"pts{'m' if pts < 0 else ''}{abs(pts)}"
    else:
        number = f"{index:0{len(str(frames))}d}"
    return f"{stem}-{number}-{extension}.png"


def video_of(name: str) -> str | None:
    """Return the key of the video that a sample of this name would be a frame of, or None."""
    found = _FRAME.fullmatch(name)
    key = f"{found['stem']}.{found['extension']}" if found else ""
    return key if kind_of(key) == "video" else None


def source_of(sample: str) -> str:
    """Return the source that a sample's name tells: the video of `a/b-012-mp4.png` is `a/b.mp4`; else the name itself."""
    return video_of(sample) or sample
