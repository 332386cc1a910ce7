"""How much fine detail an image has."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from worker.measure import Image, Measure
from worker.media.tones import mean_and_std, row_bands, value_counts


class Sharpness(Measure):
    """Standard deviation of the 8-neighbour Laplacian of the greyscale image, clipped to 0-255.

    As in `lightly-utils`: negative responses count as 0, and the outermost pixels keep their grey value.
    """

    type: Literal["sharpness"] = "sharpness"
    key: ClassVar[str] = "sharpness"
    label: ClassVar[str] = "Sharpness"
    unit: ClassVar[str] = "grey levels, 0-127.5"
    full_size: ClassVar[bool] = True

    def of(self, image: Image) -> float:
        """Return the standard deviation, 0 for an even image."""
        grey = image.grey
        counts = np.zeros(256, np.int64)
        for rows in row_bands(grey.shape[0], grey.shape[1]):
            above = min(1, rows.start)
            response = _response(grey[rows.start - above : rows.stop + 1])
            counts += value_counts(response[above : above + rows.stop - rows.start])
        return mean_and_std(counts.tolist())[1]


def _response(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the clipped responses of (h, w) values; the outermost are the values themselves."""
    wide = values.astype(np.int16)
    rows = wide[:-2] + wide[1:-1] + wide[2:]
    squares = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    response = values.copy()
    response[1:-1, 1:-1] = np.clip(9 * wide[1:-1, 1:-1] - squares, 0, 255)
    return response
