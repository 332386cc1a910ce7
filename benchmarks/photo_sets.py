"""Folders of photos to measure with: the same files under new names, and larger photos tiled from them."""

import shutil
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

from PIL import Image

DEMO = Path(__file__).parents[1] / "demo" / "photos"
SIZES_PX = ((1152, 864), (2304, 1728))
_SUFFIXES = {".jpg", ".jpeg"}


def find_photos(folder: Path, count: int) -> list[Path]:
    """Return `count` JPEGs, spread evenly over the folder's; where there are fewer, they come again and again.

    Raises:
        SystemExit: there is none.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not found:
        raise SystemExit(f"no JPEGs under {folder}")
    if len(found) > count:
        return [found[position * len(found) // count] for position in range(count)]
    return list(islice(cycle(found), count))


def copy_photos(photos: Sequence[Path], folder: Path) -> Path:
    """Write copies named by number into the sub-folder `photos`, which torchvision takes for a class."""
    for number, photo in enumerate(photos):
        shutil.copyfile(photo, _place(folder, number))
    return folder


def tile_photos(photos: Sequence[Path], folder: Path, *, size_px: tuple[int, int], count: int) -> Path:
    """Write `count` JPEGs of `size_px` (quality 90), each a mosaic of the photos at their own size.

    Enlarging would leave few details to decode; the mosaic keeps the bytes a pixel of a real photo.
    """
    tiles = cycle(photos)
    for number in range(count):
        _mosaic(tiles, size_px).save(_place(folder, number), "JPEG", quality=90)
    return folder


def _mosaic(tiles: Iterator[Path], size_px: tuple[int, int]) -> Image.Image:
    canvas = Image.new("RGB", size_px)
    y = 0
    while y < size_px[1]:
        x = row_height = 0
        while x < size_px[0]:
            with Image.open(next(tiles)) as tile:
                canvas.paste(tile.convert("RGB"), (x, y))
                x, row_height = x + tile.width, max(row_height, tile.height)
        y += row_height
    return canvas


def _place(folder: Path, number: int) -> Path:
    place = folder / "photos" / f"{number:05}.jpg"
    place.parent.mkdir(parents=True, exist_ok=True)
    return place
