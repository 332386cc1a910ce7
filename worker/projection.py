"""Principal component analysis that reads its rows once, and lengths of one."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

FORMAT_VERSION = 1

_BLOCK_ROWS = 1024
_EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class Projection:
    """An affine map from d to k numbers: (row - mean) times components.

    `mean` is (d,) and `components` (k, d), both float64; without components a row stays as it is. `explained` is the
    share of the variance that the map keeps, 0 to 1.
    """

    mean: NDArray[np.float64]
    components: NDArray[np.float64] | None
    explained: float

    @property
    def dimension(self) -> int:
        """The length k of what comes out."""
        return len(self.mean if self.components is None else self.components)

    def apply(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (m, k) float32 of (m, d) rows; needs a float64 copy of them meanwhile."""
        if self.components is None:
            return rows
        return ((rows - self.mean) @ self.components.T).astype(np.float32)

    def to_bytes(self) -> bytes:
        """Return this as the bytes of a NumPy .npz file; equal projections give equal bytes."""
        arrays = {
            "format_version": np.array(FORMAT_VERSION),
            "mean": self.mean,
            "explained": np.array(self.explained),
        }
        if self.components is not None:
            arrays["components"] = self.components
        file = BytesIO()
        np.savez(file, allow_pickle=False, **arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, body: bytes) -> "Projection":
        """Return what `to_bytes` was given.

        Raises:
            ValueError: not a projection, or one of a newer format.
        """
        try:
            with np.load(BytesIO(body), allow_pickle=False) as arrays:
                stored = {name: arrays[name] for name in arrays.files}
            version = int(stored["format_version"])
            found = cls(stored["mean"], stored.get("components"), float(stored["explained"]))
        except (BadZipFile, EOFError, KeyError, OSError, TypeError, ValueError) as error:
            raise ValueError(f"projection: cannot be read ({error})") from error
        if version > FORMAT_VERSION:
            raise ValueError(
                f"projection: format {version}; this framesift reads up to {FORMAT_VERSION}: update it"
            )
        _check(found)
        return found


def fit(blocks: Iterable[NDArray[np.float32]], dimension: int | None) -> Projection:
    """Fit a projection to min(`dimension`, d, n - 1) numbers, at least one; None asks for no reduction.

    Reads the (m, d) blocks once, and all of them in any case. Rows are summed in groups of 1,024, whatever the
    blocks are, so the result does not depend on how they were cut. Memory: three (d, d) matrices and a few groups
    of rows, in float64. Directions without variance become zero, and so do the numbers along them; in the others
    the entry of the largest magnitude, the first of equals, is positive.

    Raises:
        ValueError: there are no rows.
    """
    moments = _Moments(with_products=dimension is not None)
    for group in _regrouped(blocks):
        moments.add(group)
    if moments.shift is None:
        raise ValueError("projection: there are no rows to fit")
    if dimension is None:
        return Projection(np.zeros(len(moments.shift)), None, 1.0)
    mean, scatter = moments.centred()
    return _principal(mean, scatter, kept=max(1, min(dimension, len(mean), moments.count - 1)))


def normalize(rows: NDArray[np.float32], *, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Return (n, k) rows at the Euclidean length 1, rows of zeros as they are; `out` may be `rows` itself."""
    result = np.empty_like(rows) if out is None else out
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = rows[start : start + _BLOCK_ROWS].astype(np.float64)
        length = np.sqrt((block * block).sum(axis=1, keepdims=True))
        result[start : start + _BLOCK_ROWS] = block / np.where(length == 0, 1, length)
    return result


class _Moments:
    """Sums of rows and of their outer products, about the mean of the first group so that little is lost to rounding."""

    def __init__(self, *, with_products: bool) -> None:
        self.count = 0
        self.shift: NDArray[np.float64] | None = None
        self._with_products = with_products
        self._sum: NDArray[np.float64] = np.zeros(0)
        self._products: NDArray[np.float64] = np.zeros((0, 0))

    def add(self, group: NDArray[np.float32]) -> None:
        self.count += len(group)
        width = group.shape[1]
        if self.shift is None:
            self.shift = group.mean(axis=0, dtype=np.float64)
            self._sum = np.zeros(width)
            self._products = np.zeros((width, width) if self._with_products else (0, 0))
        if self._with_products:
            shifted = group - self.shift
            self._sum += shifted.sum(axis=0)
            self._products += shifted.T @ shifted

    def centred(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the mean (d,) and the scatter matrix (d, d) about it: the sum of products minus n times offset squared."""
        offset = self._sum / self.count
        scatter = self._products - np.outer(offset, self._sum)
        return offset + (0 if self.shift is None else self.shift), scatter


def _regrouped(blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Cut the same rows into groups of `_BLOCK_ROWS`; the last may be smaller."""
    group: NDArray[np.float32] | None = None
    filled = 0
    for block in blocks:
        start = 0
        while start < len(block):
            if group is None:
                group = np.empty((_BLOCK_ROWS, block.shape[1]), np.float32)
            taken = min(_BLOCK_ROWS - filled, len(block) - start)
            group[filled : filled + taken] = block[start : start + taken]
            filled += taken
            start += taken
            if filled == _BLOCK_ROWS:
                yield group
                filled = 0
    if group is not None and filled:
        yield group[:filled]


def _principal(mean: NDArray[np.float64], scatter: NDArray[np.float64], *, kept: int) -> Projection:
    values, vectors = np.linalg.eigh(scatter)  # ascending
    values, components = values[::-1].clip(min=0), vectors.T[::-1][:kept].copy()
    components[values[:kept] <= len(mean) * _EPSILON * values[0]] = 0
    strongest = np.abs(components).argmax(axis=1)
    signs = np.where(components[np.arange(kept), strongest] < 0, -1.0, 1.0)
    total = math.fsum(values)
    explained = min(1.0, math.fsum(values[:kept]) / total) if total > 0 else 1.0
    return Projection(mean, components * signs[:, None] + 0.0, explained)


def _check(found: Projection) -> None:
    width = found.mean.shape
    fits = found.components is None or (found.components.ndim == 2 and found.components.shape[1:] == width)
    arrays = [found.mean] if found.components is None else [found.mean, found.components]
    if len(width) != 1 or not fits or not 0 <= found.explained <= 1:
        raise ValueError("projection: its arrays do not fit together")
    if not all(array.dtype == np.float64 and np.isfinite(array).all() for array in arrays):
        raise ValueError("projection: its numbers should be finite and float64")
