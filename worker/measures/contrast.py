"""How far apart light and dark are."""

from typing import ClassVar, Literal

from worker.measure import Image, Measure
from worker.media.tones import mean_and_std, value_counts


class Contrast(Measure):
    """RMS contrast: standard deviation of ITU-R BT.601 luma on [0, 1] (Peli 1990); 0.5 is half black, half white.

    LightlyOne has a value of this name whose formula is not published.
    """

    type: Literal["contrast"] = "contrast"
    key: ClassVar[str] = "contrast"
    label: ClassVar[str] = "Contrast"
    unit: ClassVar[str] = "RMS, 0-0.5"
    full_size: ClassVar[bool] = True

    def of(self, image: Image) -> float:
        """Return the standard deviation of the luma."""
        return mean_and_std(value_counts(image.grey))[1] / 255
