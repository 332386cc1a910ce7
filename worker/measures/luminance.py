"""How bright an image looks."""

from typing import ClassVar, Literal

import numpy as np

from worker.measure import Image, Measure
from worker.media.tones import row_bands

_CODED = np.arange(256) / 255
# sRGB (IEC 61966-2-1): from coded to linear light; the weights are those of its primaries for Y.
_LINEAR = np.where(_CODED <= 0.04045, _CODED / 12.92, ((_CODED + 0.055) / 1.055) ** 2.4)
_RED, _GREEN, _BLUE = (
    np.rint(65535 * weight * _LINEAR).astype(np.uint32) for weight in (0.2126, 0.7152, 0.0722)
)
_LIGHT = np.minimum(np.arange(65538) / 65535, 1)  # rounding may carry white past 65535
_LIGHTNESS = np.where(_LIGHT > 216 / 24389, 116 * np.cbrt(_LIGHT) - 16, _LIGHT * (24389 / 27))


class Luminance(Measure):
    """Mean CIE 1976 lightness L* of the pixels read as sRGB: 0 is black, 100 is white, equal steps look equal.

    Linear light is kept in 16 bits on the way, which moves no pixel's L* by more than 0.03.

    LightlyOne has a value of this name and range whose formula is not published.
    """

    type: Literal["luminance"] = "luminance"
    key: ClassVar[str] = "luminance"
    label: ClassVar[str] = "Luminance"
    unit: ClassVar[str] = "L*, 0-100"

    def of(self, image: Image) -> float:
        """Return the mean L*."""
        height, width = image.pixels.shape[:2]
        total = 0.0
        for rows in row_bands(height, width):
            red, green, blue = (image.pixels[rows, :, channel] for channel in range(3))
            total += float(_LIGHTNESS[_RED.take(red) + _GREEN.take(green) + _BLUE.take(blue)].sum())
        return total / (height * width)
