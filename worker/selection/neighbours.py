"""Nearest neighbours, exact or by an inverted file with measured recall. The only file that knows FAISS.

FAISS's flat search proposes neighbours where there is little to do, and on a GPU, which sorts them in the kernel that finds them;
each query is then proven complete (`proposals.py`) or searched again by `tiles.py`. Large searches on a CPU are left to
`tiles.py`, which first sorts vectors into cells, and then need not multiply every pair. The inverted file is FAISS's on both.
"""

from dataclasses import dataclass
from typing import Any, Literal

import faiss
import numpy as np
from numpy.typing import NDArray

from worker.device import Device
from worker.selection.search.proposals import best_of, proven
from worker.selection.search.tiles import nearest_squares
from worker.selection.search.twins import twins_of

Vectors = NDArray[np.float32]
Distances = NDArray[np.float64]
Squares = NDArray[np.float64]
Rows = NDArray[np.int64]

GPU_NAMES = ("StandardGpuResources", "knn_gpu", "index_cpu_to_gpu", "GpuIndexIVFFlat")
"""All that a GPU takes from FAISS; `GpuIndexIVFFlat` is what `index_cpu_to_gpu` makes."""
EXACT_UP_TO = 500_000
"""Rows up to which `neighbourhoods` is exact unless told otherwise.

Measured at 32 dimensions, K = 20, on two busy cores: 38 s for 300,000 clustered rows; 52 s for 100,000 Gaussian ones, whose
time grows with the square."""
RECALL = 0.99

_MARGIN = 8
_FLAT_QUERIES = 4096
_FLAT_PAIRS = 2**28
"""Up to so many queries, or pairs, cells cost more than they save."""
_FLAT_LARGEST_K = 2048 - _MARGIN
_SAMPLE = 1000
_FIRST_PROBES = 4
_CHUNK_ROWS = 4096
_LARGEST = 1e37


@dataclass(frozen=True, slots=True)
class Neighbourhoods:
    """(n, k) distances and rows of the others nearest to each row, and how they were found.

    `recall` is the share of true neighbours found for `sampled` rows, drawn evenly, that were searched exactly too: 1
    and all rows where the search was exact. `note` says it in words.
    """

    distances: Distances
    rows: Rows
    method: Literal["exact", "ivf"]
    recall: float
    sampled: int
    note: str


def nearest(
    queries: Vectors, base: Vectors, k: int, *, device: Device, memory_bytes: int = 2**26
) -> tuple[Distances, Rows]:
    """Return (q, k) Euclidean distances from (q, d) queries to their nearest (b, d) base rows, and those rows.

    Exact: what differences in float64 over the float32 values give, nearest first, equal ones by row; k is lowered
    to b.

    Memory: 4 (d + 2) + 64 bytes a query and a base row, another 4 d a base row if some are equal, 16 k a query
    for the result and as much while it is made, and `memory_bytes` for the tiles. A GPU holds the first, and FAISS sets
    aside up to 1.5 GiB there.

    Raises:
        ValueError: k is below 1, the base is empty, the dimensions differ, or a number is not finite or beyond 1e37.
    """
    _check(queries, base, k)
    k = min(k, len(base))
    if not len(queries):
        return np.empty((0, k)), np.empty((0, k), np.int64)
    twins = twins_of(base)
    kinds = base[twins.first] if len(twins.first) < len(base) else base
    squares, rows = _nearest_kinds(queries, kinds, min(k, len(kinds)), device, memory_bytes)
    squares, rows = twins.told_apart(squares, rows, k)
    return np.sqrt(squares), rows


def nearest_others(
    vectors: Vectors, k: int, *, device: Device, memory_bytes: int = 2**26
) -> tuple[Distances, Rows]:
    """Return `nearest` of each of (n, d) vectors among all the others: (n, k) distances and rows.

    The row itself is never among them. A twin is another row at distance 0. k is lowered to n - 1.

    Raises:
        ValueError: fewer than two vectors, or what `nearest` refuses.
    """
    k = _among_others(vectors, k)
    distances, rows = nearest(vectors, vectors, k + 1, device=device, memory_bytes=memory_bytes)
    return _without_itself(distances, rows, np.arange(len(vectors)))


def neighbourhoods(
    vectors: Vectors,
    k: int,
    *,
    device: Device,
    approximate_above: int = EXACT_UP_TO,
    memory_bytes: int = 2**26,
) -> Neighbourhoods:
    """Return `nearest_others`, found by an inverted file where there are more than `approximate_above` vectors.

    Then 1,000 rows, drawn with a fixed seed, are searched exactly as well, and more lists are probed until 99 % of
    their neighbours are found. If a quarter of the lists does not suffice, the search is exact after all. Distances are right for
    their rows in any case.

    Memory: as `nearest`, or 4 d + 8 bytes a row for the inverted file, and the result.
    """
    k = _among_others(vectors, k)
    if len(vectors) <= approximate_above:
        return _exact(vectors, k, device, memory_bytes, "exact")
    sample = np.sort(np.random.default_rng(0).choice(len(vectors), min(_SAMPLE, len(vectors)), replace=False))
    truth, own = nearest(vectors[sample], vectors, k + 1, device=device, memory_bytes=memory_bytes)
    truth = _without_itself(truth, own, sample)[0]
    index = _inverted_file(vectors, device)
    probes, recall = min(_FIRST_PROBES, index.nlist), 0.0
    while True:
        index.nprobe = probes
        found = _measured_others(index, vectors, sample, k)[0]
        recall = float((found <= truth[:, -1:]).mean())
        if recall >= RECALL or 8 * probes > index.nlist:
            break
        probes *= 2
    if recall < RECALL:
        note = f"exact: {probes} of {index.nlist} lists found {recall:.4f} of the neighbours, below {RECALL}"
        return _exact(vectors, k, device, memory_bytes, note)
    step = max(1, memory_bytes // (64 * (k + _MARGIN + 1)))
    parts = [
        _measured_others(index, vectors, np.arange(start, min(start + step, len(vectors))), k)
        for start in range(0, len(vectors), step)
    ]
    distances, rows = (np.concatenate(part) for part in zip(*parts, strict=True))
    lacking = np.flatnonzero(np.isinf(distances[:, -1]))
    if len(lacking):
        more = nearest(vectors[lacking], vectors, k + 1, device=device, memory_bytes=memory_bytes)
        distances[lacking], rows[lacking] = _without_itself(*more, lacking)
    note = (
        f"inverted file, {probes} of {index.nlist} lists, recall {recall:.4f} on {len(sample)} sampled rows"
    )
    return Neighbourhoods(distances, rows, "ivf", recall, len(sample), note)


def _exact(vectors: Vectors, k: int, device: Device, memory_bytes: int, note: str) -> Neighbourhoods:
    found = nearest_others(vectors, k, device=device, memory_bytes=memory_bytes)
    return Neighbourhoods(*found, "exact", 1.0, len(vectors), note)


def _check(queries: Vectors, base: Vectors, k: int) -> None:
    if k < 1:
        raise ValueError(f"k should be at least 1, got {k}")
    if queries.ndim != 2 or base.ndim != 2 or queries.shape[1] != base.shape[1] or not len(base):
        raise ValueError(
            f"queries (q, d) and base (b, d) should share d, and b be at least 1;"
            f" got {queries.shape} and {base.shape}"
        )
    for name, vectors in (("queries", queries), ("base", base)):
        if not all(
            (np.abs(vectors[start : start + 4096]) <= _LARGEST).all()
            for start in range(0, len(vectors), 4096)
        ):
            raise ValueError(f"{name}: all numbers should be finite and at most {_LARGEST:g} in size")


def _among_others(vectors: Vectors, k: int) -> int:
    if len(vectors) < 2:
        raise ValueError(f"vectors: at least 2 are needed to have other rows, got {len(vectors)}")
    return min(k, len(vectors) - 1)


def _without_itself(distances: Distances, rows: Rows, own: Rows) -> tuple[Distances, Rows]:
    """Return (m, k) of (m, k + 1), without the own row."""
    itself = rows == own[:, None]
    # Behind k + 1 twins of lower rows the own row is not found; then the last one is the one too many.
    itself[~itself.any(axis=1), -1] = True
    shape = len(own), rows.shape[1] - 1
    return distances[~itself].reshape(shape), rows[~itself].reshape(shape)


def _nearest_kinds(
    queries: Vectors, base: Vectors, k: int, device: Device, memory_bytes: int
) -> tuple[Squares, Rows]:
    """Return (q, k) squared distances and rows of base vectors of which no two are equal."""

    def by_tiles(queries: Vectors) -> tuple[Squares, Rows]:
        return nearest_squares(
            queries,
            base,
            k,
            device=device.torch_name,
            threads=1 if device.is_cuda else device.threads,
            memory_bytes=memory_bytes,
        )

    little = len(queries) <= _FLAT_QUERIES or len(queries) * len(base) <= _FLAT_PAIRS
    if k > _FLAT_LARGEST_K or not (device.is_cuda or little):
        return by_tiles(queries)
    propose = _on_gpu if device.is_cuda else faiss.knn
    squares, rows, sure = proven(queries, base, k, propose=propose, memory_bytes=memory_bytes)
    if not sure.all():
        squares[~sure], rows[~sure] = by_tiles(queries[~sure])
    return squares, rows


def _on_gpu(queries: Vectors, base: Vectors, count: int) -> tuple[NDArray[np.float32], Rows]:
    about, rows = faiss.knn_gpu(faiss.StandardGpuResources(), queries, base, count)
    return about, rows


def _inverted_file(vectors: Vectors, device: Device) -> Any:
    """Return an index of all the vectors in 2 sqrt(n) lists, on the GPU if the device is one."""
    n, d = vectors.shape
    lists = max(1, min(2 * int(n**0.5), n // 40))
    index: Any = faiss.IndexIVFFlat(faiss.IndexFlatL2(d), d, lists)
    index.train(np.ascontiguousarray(vectors[:: max(1, n // (64 * lists))]))
    if device.is_cuda:
        index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
    index.add(np.ascontiguousarray(vectors))
    return index


def _measured_others(index: Any, vectors: Vectors, own: Rows, k: int) -> tuple[Distances, Rows]:
    """Return (m, k) exact distances to what the index finds for these rows; infinity where it finds too few."""
    wide = min(k + 1 + _MARGIN, len(vectors))
    _, found = index.search(np.ascontiguousarray(vectors[own]), wide)
    squares, rows = best_of(vectors[own], vectors, found, min(k + 1, wide))
    return _without_itself(np.sqrt(squares), rows, own)
