"""A growing list of vectors that is never copied: it lives in slabs of equal size."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


class Centres:
    """`count` vectors of d float32 numbers. Memory: 4 * d bytes each, rounded up to a slab."""

    def __init__(self, dimension: int, *, slab_rows: int) -> None:
        self.count = 0
        self._slabs: list[NDArray[np.float32]] = []
        self._shape = slab_rows, dimension

    def append(self, vectors: NDArray[np.float32]) -> None:
        """Put (c, d) vectors at the end."""
        while len(vectors):
            used = self.count % self._shape[0]
            if used == 0:
                self._slabs.append(np.empty(self._shape, np.float32))
            part = vectors[: self._shape[0] - used]
            self._slabs[-1][used : used + len(part)] = part
            self.count += len(part)
            vectors = vectors[len(part) :]

    def slabs(self, since: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield (first number, (c, d) vectors) of each slab with vectors of number `since` or more."""
        for start in range(since - since % self._shape[0], self.count, self._shape[0]):
            yield start, self._slabs[start // self._shape[0]][: self.count - start]
