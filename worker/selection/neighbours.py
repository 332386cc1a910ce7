"""Exact nearest neighbours in bounded memory. The only file that knows FAISS."""

import faiss
import numpy as np
from numpy.typing import NDArray

from worker.device import Device
from worker.selection.exact import squared_between

Vectors = NDArray[np.float32]
Distances = NDArray[np.float64]
Rows = NDArray[np.int64]

_MARGIN = 8
_GPU_LARGEST_K = 2048


def nearest(
    queries: Vectors, base: Vectors, k: int, *, device: Device, memory_bytes: int = 2**26
) -> tuple[Distances, Rows]:
    """Return (q, k) Euclidean distances from (q, d) queries to their nearest (b, d) base rows, and those rows.

    Sorted by distance, equal ones by row; k is lowered to b. FAISS searches k + 8 neighbours in float32 around the
    base's mean, and differences in float64 then measure, sort and keep k of them. So a returned distance is
    right for its row, and a nearer row can be missing only where more than 8 others lie within float32's rounding
    of it.

    Memory: 4 * d bytes a base row (the copy around the mean), 16 * k a query for the result, and about
    `memory_bytes`: queries go through in chunks of memory_bytes / (4 * d + 40 * (k + 8)). FAISS adds its own,
    some 16 MiB on a CPU; on a GPU it sets aside up to 1.5 GiB.

    Raises:
        ValueError: k is below 1, the base is empty, the dimensions differ, or a GPU is asked for more than 2,040.
    """
    _check(queries, base, k, device)
    k = min(k, len(base))
    wide = min(k + _MARGIN, len(base))
    centre = base.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = np.ascontiguousarray(base - centre)
    distances = np.empty((len(queries), k), np.float64)
    rows = np.empty((len(queries), k), np.int64)
    search = _gpu_search if device.is_cuda else _cpu_search
    step = max(1, memory_bytes // (4 * base.shape[1] + 40 * wide))
    for start in range(0, len(queries), step):
        chunk = queries[start : start + step]
        found = search(np.ascontiguousarray(chunk - centre), centred, wide)
        part = slice(start, start + len(chunk))
        distances[part], rows[part] = _measured(chunk, base, found, k)
    return distances, rows


def nearest_others(
    vectors: Vectors, k: int, *, device: Device, memory_bytes: int = 2**26
) -> tuple[Distances, Rows]:
    """Return `nearest` of each of (n, d) vectors among all the others: (n, k) distances and rows.

    The row itself is never among them. A twin is another row at distance 0. k is lowered to n - 1.

    Raises:
        ValueError: fewer than two vectors, or what `nearest` refuses.
    """
    if len(vectors) < 2:
        raise ValueError(f"vectors: at least 2 are needed to have other rows, got {len(vectors)}")
    k = min(k, len(vectors) - 1)
    distances, rows = nearest(vectors, vectors, k + 1, device=device, memory_bytes=memory_bytes)
    itself = rows == np.arange(len(vectors))[:, None]
    # Among many twins the row itself may not be found; then the last of k + 1 is the one too many.
    itself[~itself.any(axis=1), -1] = True
    return distances[~itself].reshape(-1, k), rows[~itself].reshape(-1, k)


def _check(queries: Vectors, base: Vectors, k: int, device: Device) -> None:
    if k < 1:
        raise ValueError(f"k should be at least 1, got {k}")
    if queries.ndim != 2 or base.ndim != 2 or queries.shape[1] != base.shape[1] or not len(base):
        raise ValueError(
            f"queries (q, d) and base (b, d) should share d, and b be at least 1;"
            f" got {queries.shape} and {base.shape}"
        )
    if device.is_cuda and min(k, len(base)) + _MARGIN > _GPU_LARGEST_K:
        raise ValueError(f"k: a GPU searches at most {_GPU_LARGEST_K - _MARGIN} neighbours, got {k}")


def _cpu_search(queries: Vectors, base: Vectors, k: int) -> Rows:
    return faiss.knn(queries, base, k)[1]


def _gpu_search(queries: Vectors, base: Vectors, k: int) -> Rows:
    return faiss.knn_gpu(faiss.StandardGpuResources(), queries, base, k)[1]


def _measured(queries: Vectors, base: Vectors, found: Rows, k: int) -> tuple[Distances, Rows]:
    """Return (q, k) exact distances and rows of the (q, wide) rows found."""
    own = np.repeat(np.arange(len(queries)), found.shape[1])
    squares = squared_between(queries, own, base, found.ravel()).reshape(found.shape)
    order = np.lexsort((found, squares), axis=-1)[:, :k]
    return np.sqrt(np.take_along_axis(squares, order, axis=1)), np.take_along_axis(found, order, axis=1)
