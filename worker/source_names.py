"""What the name of a source says by itself: its folder and extension, its video, its camera, its day."""

import re
from collections.abc import Callable, Iterator
from datetime import date

from worker.media.extensions import kind_of

FIRST_YEAR, LAST_YEAR = 1970, 2099

_DATE = re.compile(
    r"(?<!\d)(?P<year>\d{4})(?P<between>[-_]?)(?P<month>\d{2})(?P=between)(?P<day>\d{2})(?!\d)", re.ASCII
)
_WORDS = re.compile(r"[A-Za-z]+(?:[-_ ][A-Za-z]+)*(?:[-_ ]?\d{1,2}(?!\d))?", re.ASCII)
_CAMERA = re.compile(
    r"(?<![A-Za-z])(?:CAM(?:ERA)?(?![A-Za-z])|[Cc]am(?:era)?(?![a-z]))|(?<=[a-z])Cam(?:era)?(?![a-z])"
)


def folder(source: str) -> str:
    """Return the folder of a source below the input, `.` for the top."""
    return source.rpartition("/")[0] or "."


def extension(source: str) -> str | None:
    """Return the extension in lower case, without the dot."""
    return source.rpartition("/")[2].partition(".")[2].rpartition(".")[2].lower() or None


def video_name(source: str) -> str | None:
    """Return the name of a video, which is its key below the input; None for an image."""
    return source if kind_of(source) == "video" else None


def camera(source: str) -> str | None:
    """Return the camera that a source's path names, as it is written there, or None.

    A camera is a run of words of letters, each joined to the next by one `-`, `_` or space, of which one is `cam` or
    `camera` or starts or ends so where capitals tell words apart (`camLeft`, `frontCam`); up to two digits at the end
    belong to it. `cam` or `camera` alone names none. The file's name counts before its folders, and these from the inside.
    Of several in one part of the path the first counts.
    """
    return next((words for part in _parts(source) for words in _cameras(part)), None)


def day(source: str) -> str | None:
    """Return the first date in a source's path as YYYY-MM-DD, or None.

    It is written YYYY-MM-DD, YYYY_MM_DD or YYYYMMDD, with no digit before or behind, and a day of 1970 to 2099.
    """
    return next(_days(source), None)


BUILT_IN: dict[str, Callable[[str], str | None]] = {
    "camera": camera,
    "day": day,
    "lightly.extension": extension,
    "lightly.folder": folder,
    "video_name": video_name,
}
"""Metadata keys that every job knows, and how a source's name gives their values."""


def _parts(source: str) -> Iterator[str]:
    *folders, name = source.split("/")
    yield name.rpartition(".")[0] or name
    yield from reversed(folders)


def _cameras(part: str) -> Iterator[str]:
    for words in _WORDS.finditer(part):
        text = words[0]
        if _CAMERA.search(text) and text.casefold() not in {"cam", "camera"}:
            yield text


def _days(source: str) -> Iterator[str]:
    for found in _DATE.finditer(source):
        year, month, number = int(found["year"]), int(found["month"]), int(found["day"])
        if FIRST_YEAR <= year <= LAST_YEAR:
            try:
                yield date(year, month, number).isoformat()
            except ValueError:
                continue
