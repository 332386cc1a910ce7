"""How strong the signal is against its variation."""

from typing import ClassVar, Literal

from worker.measure import Image, Measure
from worker.media.tones import mean_and_std, value_counts


class Snr(Measure):
    """Mean over standard deviation of all pixels and channels together, as in `lightly-utils`; 0 where nothing varies."""

    type: Literal["snr"] = "snr"
    key: ClassVar[str] = "snr"
    label: ClassVar[str] = "Signal-to-noise ratio"
    unit: ClassVar[str] = "ratio"
    full_size: ClassVar[bool] = True

    def of(self, image: Image) -> float:
        """Return mean / std."""
        mean, std = mean_and_std(value_counts(image.pixels))
        return mean / std if std else 0.0
