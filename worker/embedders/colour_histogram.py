"""A model without weights, for tests and dry runs."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from worker.device import Device
from worker.embedder import Embedder, Forward, Identity, WeightFiles
from worker.media.preprocessing import Preprocessing

_SIDE_PX = 64
_BINS = 8


class ColourHistogram(Embedder):
    """Eight bins a channel, as shares of the pixels.

    Counts are integers and the one division, by a power of two, is exact: every machine gives the same bits, alone
    or in a batch of any size.
    """

    type: Literal["colour_histogram"] = "colour_histogram"

    def identity(self, files: WeightFiles) -> Identity:
        """Nothing to read."""
        del files
        return Identity(
            name="colour_histogram",
            weights_sha256="none",
            preprocessing=Preprocessing(resize=_SIDE_PX, crop=_SIDE_PX, interpolation="box"),
            dimension=3 * _BINS,
            details={"bins": str(_BINS), "code_version": "1"},
            licence="Apache-2.0",
        )

    def load(self, device: Device, files: WeightFiles) -> Forward:
        """Nothing to load, and the device does not matter."""
        del device, files
        return _shares


def _shares(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (b, 24) shares: eight of red, then of green, then of blue, each from dark to bright."""
    bins = images.reshape(len(images), -1, 3) >> 5  # (b, h * w, 3), in 0..7
    counts = np.stack([(bins == level).sum(axis=1) for level in range(_BINS)], axis=2)  # (b, 3, 8)
    return (counts.reshape(len(images), -1) / bins.shape[1]).astype(np.float32)
