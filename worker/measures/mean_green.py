"""How much green an image has."""

from typing import ClassVar, Literal

import numpy as np

from worker.measure import Image, Measure


class MeanGreen(Measure):
    """Mean of the green channel, 0 to 1, as coded (not linear light)."""

    type: Literal["mean_green"] = "mean_green"
    key: ClassVar[str] = "meanGreen"
    label: ClassVar[str] = "Mean green"
    unit: ClassVar[str] = "0-1"

    def of(self, image: Image) -> float:
        """Return the channel's mean."""
        values = image.pixels[..., 1]
        return int(values.sum(dtype=np.uint64)) / (255 * values.size)
