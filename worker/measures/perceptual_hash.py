"""What an image looks like, in 64 bits."""

from typing import ClassVar, Literal

import numpy as np
from PIL import Image as PillowImage

from worker.measure import Image, Measure


class PerceptualHash(Measure):
    """Difference hash: the grey image shrunk to 9 x 8, one bit for each pixel that is brighter than its right neighbour.

    Rows from the top, bits from the left, the first bit is the highest. Near copies differ in few bits.
    """

    type: Literal["perceptual_hash"] = "perceptual_hash"
    key: ClassVar[str] = "perceptualHash"
    label: ClassVar[str] = "Perceptual hash"
    unit: ClassVar[str] = "64 bits, hexadecimal"
    numeric: ClassVar[bool] = False

    def of(self, image: Image) -> str:
        """Return 16 hexadecimal digits."""
        small = PillowImage.fromarray(image.grey).resize((9, 8), PillowImage.Resampling.BILINEAR)
        values = np.asarray(small)
        return np.packbits(values[:, :-1] > values[:, 1:]).tobytes().hex()
