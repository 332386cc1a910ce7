"""What one selection looks at: arrays only."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LARGEST = 1e18
"""Squares of larger numbers leave float32's range in whatever comes after the selection."""


@dataclass(frozen=True, slots=True)
class Pool:
    """(n, d) float32 embeddings, and an (n,) mask of the rows that may be picked.

    Raises:
        ValueError: shapes or types do not fit, or an embedding is not finite; the text names the first such row.
    """

    embeddings: NDArray[np.float32]
    candidates: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.embeddings.ndim != 2 or self.embeddings.shape[1] == 0 or self.embeddings.dtype != np.float32:
            raise ValueError(
                f"embeddings should be (n, d) float32 with d at least 1, got {self.embeddings.dtype}"
                f" of shape {self.embeddings.shape}"
            )
        if self.candidates.shape != (len(self.embeddings),) or self.candidates.dtype != np.bool_:
            raise ValueError(
                f"candidates should be ({len(self.embeddings)},) bool, got {self.candidates.dtype}"
                f" of shape {self.candidates.shape}"
            )
        row = first_unusable(self.embeddings)
        if row is not None:
            raise ValueError(
                f"embeddings: row {row} holds NaN, infinity or a number beyond {_LARGEST:g};"
                " leave such samples out before selecting"
            )

    def __len__(self) -> int:
        return len(self.embeddings)


def first_unusable(embeddings: NDArray[np.float32]) -> int | None:
    """Return the first row with a number that is NaN, infinite or beyond 1e18, or None; 4096 rows at a time."""
    for start in range(0, len(embeddings), 4096):
        usable = (np.abs(embeddings[start : start + 4096]) <= _LARGEST).all(axis=1)
        if not usable.all():
            return start + int(usable.argmin())
    return None
