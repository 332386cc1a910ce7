"""How much of an image is blank or broken off."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from worker.measure import Image, Measure

_MAX_HEIGHT_PX = 400
_FLAT_BELOW = 5
_FLAT_SHARE = 0.97


class UniformRowRatio(Measure):
    """Share of rows in which nearly every pixel looks like its neighbours; LightlyOne advises to keep below 0.025.

    The greyscale image is shrunk to 400 rows at most, bilinear without antialiasing. A pixel is flat where its
    8-neighbour Laplacian is below 5 grey levels of 255, a row is uniform where more than 97 % of its pixels are flat.
    Rows and pixels at the border have no such neighbourhood and do not count; below 3 x 3 pixels the value is 0.
    """

    type: Literal["uniform_row_ratio"] = "uniform_row_ratio"
    key: ClassVar[str] = "uniformRowRatio"
    label: ClassVar[str] = "Uniform rows"
    unit: ClassVar[str] = "share of rows, 0-1"
    full_size: ClassVar[bool] = True

    def of(self, image: Image) -> float:
        """Return the share of uniform rows."""
        height, width = image.pixels.shape[:2]
        if min(height, width) < 3:
            return 0.0
        flat = np.abs(_laplacian(_shrunk(image.grey))) < _FLAT_BELOW
        return float(np.mean(flat.mean(axis=1) > _FLAT_SHARE))


def _laplacian(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (h - 2, w - 2) responses of (h, w) values."""
    rows = values[:-2] + values[1:-1] + values[2:]
    squares: NDArray[np.float32] = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    return 9 * values[1:-1, 1:-1] - squares


def _shrunk(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    height, width = values.shape
    if height <= _MAX_HEIGHT_PX:
        return values.astype(np.float32)
    low, high, share = _neighbours(height, _MAX_HEIGHT_PX)
    columns = max(3, width * _MAX_HEIGHT_PX // height)
    left, right, across = _neighbours(width, columns)
    blended = (1 - share[:, None]) * values[low] + share[:, None] * values[high]
    return (1 - across) * blended[:, left] + across * blended[:, right]


def _neighbours(length: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return for each target pixel the two source pixels around its centre and the second one's share."""
    centres = np.maximum((np.arange(target) + 0.5) * (length / target) - 0.5, 0)
    low = centres.astype(np.intp)
    return low, np.minimum(low + 1, length - 1), (centres - low).astype(np.float32)
