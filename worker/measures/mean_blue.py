"""How much blue an image has."""

from typing import ClassVar, Literal

import numpy as np

from worker.measure import Image, Measure


class MeanBlue(Measure):
    """Mean of the blue channel, 0 to 1, as coded (not linear light)."""

    type: Literal["mean_blue"] = "mean_blue"
    key: ClassVar[str] = "meanBlue"
    label: ClassVar[str] = "Mean blue"
    unit: ClassVar[str] = "0-1"

    def of(self, image: Image) -> float:
        """Return the channel's mean."""
        values = image.pixels[..., 2]
        return int(values.sum(dtype=np.uint64)) / (255 * values.size)
