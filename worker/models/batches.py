"""Runs a model on batches, and makes them smaller where memory is short."""

import numpy as np
from numpy.typing import NDArray

from worker.device import is_out_of_memory
from worker.embedder import Forward
from worker.errors import JobFailed


class BatchEmbedder:
    """A loaded model with a memory for how many images fit into one call."""

    def __init__(self, forward: Forward, *, dimension: int) -> None:
        self._forward = forward
        self._dimension = dimension
        self._fits: int | None = None

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (b, d) float32 vectors of (b, h, w, 3) uint8 images, in their order.

        A call for which the device lacks memory is repeated with half the images, and so are all later ones.

        Raises:
            JobFailed: not even one image fits, or the model gives another shape.
        """
        vectors = np.empty((len(images), self._dimension), np.float32)
        start = 0
        while start < len(images):
            part = images[start : start + (self._fits or len(images))]
            found = self._run(part)
            if found is None:
                self._fits = len(part) // 2
                continue
            vectors[start : start + len(part)] = self._checked(found, len(part))
            start += len(part)
        return vectors

    def _run(self, part: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Return the vectors, or None where the device lacks memory and a smaller call may help."""
        try:
            return self._forward(part)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if len(part) == 1:
                raise JobFailed(
                    f"embedding: the device lacks memory for even one image of {part.shape[2]} x {part.shape[1]} pixels"
                ) from error
        # Outside the handler, so that the traceback no longer holds the failed call's tensors when it is repeated.
        return None

    def _checked(self, found: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        if found.shape != (count, self._dimension):
            raise JobFailed(
                f"embedding: the model gave the shape {found.shape} where {(count, self._dimension)} was due"
            )
        return found
