"""How an image becomes the pixels that a model sees, as data: it decides the embedding, so it is part of its identity."""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

_VIEW_MARGIN = 1.5
_LONGEST_ASPECT = 8

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]


class Preprocessing(BaseModel):
    """Resize with Pillow (antialiased), then cut the centre. Sizes in pixels.

    `resize` is the target of the short side where `keep_aspect`, else the side of a square that the image is
    squashed to. `crop` is the side of the central square that the model sees; where the resized image is smaller,
    the rest is black. Of pictures longer than eight times their short side only the centre is resized: the crop
    does not reach further, and resizing all of a thin strip would take any amount of memory.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    resize: int = Field(ge=1, le=4096)
    crop: int = Field(ge=1, le=4096)
    keep_aspect: bool = True
    interpolation: Interpolation = "bicubic"

    @property
    def view_px(self) -> int:
        """The short side, in pixels, below which a decode must not be reduced: 1.5 times the resized one.

        Against a full decode, 8 photo mosaics of 1.2 to 4.9 megapixels each, resized to 224 and 256 (bicubic, values
        0 to 255): the mean difference is at most 1.7 and the largest 22, where a margin of 1 gives 3.7 and 52, and a
        margin of 2 gives 0.9 and 14, but leaves the commonest sizes (1 to 1.5 megapixels) without any reduction.
        """
        return math.ceil(_VIEW_MARGIN * self.resize)

    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """Return (crop, crop, 3) uint8 pixels of an RGB image."""
        strip = self._centre(image) if self.keep_aspect else image
        resized = strip.resize(self._resized(*strip.size), Image.Resampling[self.interpolation.upper()])
        left = round((resized.width - self.crop) / 2)
        top = round((resized.height - self.crop) / 2)
        return np.asarray(resized.crop((left, top, left + self.crop, top + self.crop)), np.uint8)

    def _centre(self, image: Image.Image) -> Image.Image:
        width, height = image.size
        longest = min(width, height) * max(_LONGEST_ASPECT, math.ceil(self.crop / self.resize) + 2)
        left, top = max(0, (width - longest) // 2), max(0, (height - longest) // 2)
        if not left and not top:
            return image
        return image.crop((left, top, width - left, height - top))

    def _resized(self, width: int, height: int) -> tuple[int, int]:
        if not self.keep_aspect:
            return self.resize, self.resize
        short = min(width, height)
        return max(1, self.resize * width // short), max(1, self.resize * height // short)
