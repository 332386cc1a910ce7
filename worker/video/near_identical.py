"""Which frames look like the last one that was kept."""

import numpy as np
from numpy.typing import NDArray

from worker.samples import Skipped, SkipReason


class NearIdenticalFilter:
    """Compares the frames of one segment, in displayed order, with the last one that it kept."""

    def __init__(self, max_difference: float) -> None:
        self._max_difference = max_difference
        self._kept: tuple[str, NDArray[np.int16]] | None = None

    def restart(self) -> None:
        """Keep the next frame whatever it looks like."""
        self._kept = None

    def skipped(self, name: str, signature: NDArray[np.uint8]) -> Skipped | None:
        """Say why a frame is left out, or keep it and return None. `signature` is (32, 32) grey values."""
        values = signature.astype(np.int16)
        if self._kept is not None:
            earlier, before = self._kept
            difference = float(np.abs(values - before).mean())
            if difference <= self._max_difference:
                detail = f"differs from {earlier} by {difference:.3g} grey values; kept are more than {self._max_difference:g}"
                return Skipped(SkipReason.NEAR_IDENTICAL, detail)
        self._kept = (name, values)
        return None
