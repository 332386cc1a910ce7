"""Greyscale and value counts of pictures of any size, a band of rows at a time, so that nothing large is copied."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_BAND_PX = 1 << 20


def row_bands(height: int, width: int) -> Iterator[slice]:
    """Yield slices of consecutive rows, together all of them, of about a million pixels each."""
    rows = max(1, _BAND_PX // width)
    for top in range(0, height, rows):
        yield slice(top, min(height, top + rows))


def array_of(image: Image.Image) -> NDArray[np.uint8]:
    """Return (h, w, 3) pixels of an RGB picture, which cannot be written to."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for rows in row_bands(image.height, image.width):
        pixels[rows] = np.asarray(image.crop((0, rows.start, image.width, rows.stop)))
    pixels.flags.writeable = False
    return pixels


def grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (h, w) luma of (h, w, 3) RGB, ITU-R BT.601 weights, rounded: what Pillow calls mode L."""
    height, width = pixels.shape[:2]
    values = np.empty((height, width), np.uint8)
    for rows in row_bands(height, width):
        values[rows] = np.asarray(Image.fromarray(pixels[rows]).convert("L"))
    return values


def value_counts(values: NDArray[np.uint8]) -> list[int]:
    """Return how often each of the 256 values occurs."""
    counts = np.zeros(256, np.int64)
    for rows in row_bands(values.shape[0], values.shape[1]):
        counts += np.bincount(values[rows].ravel(), minlength=256)
    return counts.tolist()


def mean_and_std(counts: Sequence[int]) -> tuple[float, float]:
    """Return mean and population standard deviation of values 0 to 255, given how often each occurs."""
    total = sum(counts)
    mean = sum(value * count for value, count in enumerate(counts)) / total
    variance = sum((value - mean) ** 2 * count for value, count in enumerate(counts)) / total
    return mean, math.sqrt(variance)
