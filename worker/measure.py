"""What a metadata measure provides: a number (or a short text) computed from one image."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from worker.media.tones import grey
from worker.registry import Variant


@dataclass(frozen=True)
class Image:
    """One decoded image: (h, w, 3) uint8 RGB pixels as seen, and the facts of the original, which may be larger."""

    pixels: NDArray[np.uint8]
    width: int
    height: int
    size_bytes: int

    @cached_property
    def grey(self) -> NDArray[np.uint8]:
        """(h, w) luma, made once for all measures that need it."""
        return grey(self.pixels)


class Measure(Variant):
    """One value of one image. Pure: the same pixels give the same value, and the pixels are not changed.

    `type` (the file's name) is the column in samples.parquet; `key` is the name after `lightly.` in a job.
    `full_size` marks a measure whose value depends on the resolution: where a selection uses it, it is taken from
    the full-size pixels, otherwise from the reduced ones and labelled so.
    """

    kind: ClassVar[str] = "measure"
    key: ClassVar[str]
    label: ClassVar[str]
    unit: ClassVar[str]
    full_size: ClassVar[bool] = False
    of_pixels: ClassVar[bool] = True
    """False for what the original says of itself, whatever pixels were seen."""
    numeric: ClassVar[bool] = True
    version: ClassVar[int] = 1

    def of(self, image: Image) -> float | int | str:
        """Return the value for one image."""
        raise NotImplementedError
