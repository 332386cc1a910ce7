"""How much red an image has."""

from typing import ClassVar, Literal

import numpy as np

from worker.measure import Image, Measure


class MeanRed(Measure):
    """Mean of the red channel, 0 to 1, as coded (not linear light)."""

    type: Literal["mean_red"] = "mean_red"
    key: ClassVar[str] = "meanRed"
    label: ClassVar[str] = "Mean red"
    unit: ClassVar[str] = "0-1"

    def of(self, image: Image) -> float:
        """Return the channel's mean."""
        values = image.pixels[..., 0]
        return int(values.sum(dtype=np.uint64)) / (255 * values.size)
