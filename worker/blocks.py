"""What a page may hold. Sections return blocks; templates know blocks and nothing else."""

from dataclasses import dataclass
from typing import Literal

Tone = Literal["good", "neutral", "warning"]


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; `muted` for how a number is defined."""

    text: str
    muted: bool = False


@dataclass(frozen=True, slots=True)
class Callout:
    """A sentence that must not be missed."""

    tone: Tone
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Tile:
    """One number, set large, with what it is and one line below."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Tiles:
    """A row of numbers."""

    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class KeyValues:
    """Facts in two columns."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first column heads its row. `numeric` columns (by position) are set flush right."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing. `data` names the part of report.json it shows; `alt` says what can be seen in it."""

    media_type: Literal["image/svg+xml", "image/jpeg"]
    body: bytes
    alt: str
    caption: str
    data: str
    width: Literal["full", "half"] = "full"


@dataclass(frozen=True, slots=True)
class Figures:
    """Small drawings side by side."""

    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A sample: its JPEG thumbnail, or its name alone where no picture was fetched; for a frame, its moment in the video."""

    sample: str
    jpeg: bytes | None
    note: str = ""
    moment: str = ""


@dataclass(frozen=True, slots=True)
class PictureGrid:
    """Samples in reading order."""

    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class PicturePair:
    """Two samples beside each other and what lies between them."""

    left: Picture
    right: Picture
    note: str


@dataclass(frozen=True, slots=True)
class PicturePairs:
    """Pairs of samples; the two labels head the left and the right picture of each."""

    left_label: str
    right_label: str
    pairs: tuple[PicturePair, ...]


@dataclass(frozen=True, slots=True)
class Code:
    """Text set as it is, in a fixed-width face."""

    caption: str
    text: str


@dataclass(frozen=True, slots=True)
class Commands:
    """Commands to copy, each under a line that says what it does."""

    caption: str
    commands: tuple[tuple[str, str], ...]


Block = (
    Text
    | Callout
    | Tiles
    | KeyValues
    | Table
    | Figure
    | Figures
    | PictureGrid
    | PicturePairs
    | Code
    | Commands
)
