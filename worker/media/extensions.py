"""Which keys of a listing are worth downloading, by their extension; the content then decides."""

from pathlib import PurePosixPath
from typing import Literal

_DECODED = [
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".mpo",
    ".png",
    ".apng",
    ".webp",
    ".bmp",
    ".dib",
    ".tif",
    ".tiff",
    ".ppm",
    ".pgm",
    ".pbm",
    ".pnm",
    ".gif",
]
# These are listed so that they show up as skipped, with the format's name, instead of vanishing without a word.
_REFUSED = [
    ".heic",
    ".heif",
    ".hif",
    ".avif",
    ".psd",
    ".psb",
    ".ico",
    ".cur",
    ".icns",
    ".jp2",
    ".j2k",
    ".jpf",
    ".jpx",
    ".jxl",
    ".jxr",
    ".wdp",
    ".dds",
    ".exr",
    ".hdr",
    ".pfm",
    ".pam",
    ".qoi",
    ".xcf",
    ".cr3",
    ".raf",
    ".orf",
    ".rw2",
]

IMAGE_EXTENSIONS: frozenset[str] = frozenset([*_DECODED, *_REFUSED])
"""Lower case, with the dot: every format that is decoded, and those that are recognised and refused."""

VIDEO_EXTENSIONS: frozenset[str] = frozenset(
    [".mp4", ".m4v", ".hevc", ".mpg", ".mpeg", ".avi", ".mov", ".webm", ".mkv", ".ts", ".h264", ".h265"]
)
"""LightlyOne's list, Matroska, MPEG transport streams, and raw streams by their other names."""

Kind = Literal["image", "video", "other"]


def kind_of(key: str) -> Kind:
    """Say what a key seems to hold; one without any extension may be an image."""
    suffix = PurePosixPath(key.rpartition("/")[2]).suffix.lower()
    if suffix in IMAGE_EXTENSIONS or not suffix:
        return "image"
    return "video" if suffix in VIDEO_EXTENSIONS else "other"
