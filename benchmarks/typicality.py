"""Typicality, K = 20, against lightly-mundig, FAISS's flat search and a bare matrix product of all pairs.

    python -m benchmarks.typicality [--quick] [--embeddings FILE]

Runs are interleaved, so that a busy machine slows all alike. lightly-mundig's time grows with the square of the rows: it is measured on
the first fifth of them and multiplied by 25, and FAISS and the product are measured on a tenth of the queries and multiplied by 10.
Every figure is of the clock on the wall, and in brackets of the CPU time of all threads (lightly-mundig uses one thread
here), which a busy machine moves less. FILE is a .npy array, or the samples.parquet of a result folder. Ratios are the result; seconds belong to the machine.
Needs the extra `dev`.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import faiss
import lightly_mundig
import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from worker.device import choose_device
from worker.selection.typicality import typicality

Vectors = NDArray[np.float32]
T = TypeVar("T")

_K = 20
_SHARE = 5
_QUERY_SHARE = 10


def gaussian(n: int, d: int) -> Vectors:
    """Return independent normal numbers: the hardest case, since all distances are alike and no cell is out of reach."""
    return np.random.default_rng(0).standard_normal((n, d), dtype=np.float32)


def clustered(n: int, d: int) -> Vectors:
    """Return 200 clusters whose spread is a tenth of the distance between them."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((200, d), dtype=np.float32)
    return centres[rng.integers(0, 200, n)] + np.float32(0.1) * gaussian(n, d)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="20,000 rows instead of 100,000")
    parser.add_argument("--embeddings", type=Path, help="rows of your own instead of made ones")
    parser.add_argument("--repeats", type=int, default=1)
    asked = parser.parse_args()
    n = 20_000 if asked.quick else 100_000
    sets = (
        {asked.embeddings.name: _read(asked.embeddings)}
        if asked.embeddings
        else {make.__name__: make(n, 32) for make in (clustered, gaussian)}
    )
    sys.stdout.write(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, on the CPU, K = {_K}\n"
        "| data | n x d | exact s | ivf s | mundig s | FAISS s | mm s | mundig / exact | mundig / ivf"
        " | FAISS / exact | exact / mm | exact from mundig | ivf from exact | ivf |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
    )
    for name, vectors in sets.items():
        sys.stdout.write(_row(name, vectors, asked.repeats) + "\n")
        sys.stdout.flush()


def _row(name: str, vectors: Vectors, repeats: int) -> str:
    device = choose_device("cpu")
    few = np.ascontiguousarray(vectors[: len(vectors) // _SHARE])
    queries = np.ascontiguousarray(vectors[: len(vectors) // _QUERY_SHARE])
    exact, ivf, mundig, flat, product = [], [], [], [], []
    for _ in range(repeats):
        took, found = _timed(lambda: typicality(vectors, device=device, k=_K))
        exact.append(took)
        took, theirs = _timed(lambda: _mundig(few))
        mundig.append(took * _SHARE**2)
        product.append(_timed(lambda: _product(queries, vectors))[0] * _QUERY_SHARE)
        flat.append(_timed(lambda: faiss.knn(queries, vectors, _K + 1))[0] * _QUERY_SHARE)
        took, about = _timed(lambda: typicality(vectors, device=device, k=_K, approximate_above=0))
        ivf.append(took)
    a, b, c, d, e = (np.median(times, axis=0) for times in (exact, ivf, mundig, flat, product))
    difference = np.abs(typicality(few, device=device, k=_K).values - theirs).max()
    apart = np.abs(found.values - about.values).max()
    return (
        f"| {name} | {len(vectors)} x {vectors.shape[1]} | {_pair(a)} | {_pair(b)} | {_pair(c)} | {_pair(d)} | {_pair(e)}"
        f" | {_pair(c / a)} | {_pair(c / b)} | {_pair(d / a)} | {_pair(a / e)} | {difference:.1e} | {apart:.1e}"
        f" | {about.note} |"
    )


def _pair(wall_and_cpu: NDArray[np.float64]) -> str:
    return f"{wall_and_cpu[0]:.1f} ({wall_and_cpu[1]:.1f})"


def _mundig(vectors: Vectors) -> NDArray[np.float64]:
    return np.array(lightly_mundig.Typicality(vectors).calculate_typicality(_K))


def _product(queries: Vectors, vectors: Vectors) -> None:
    """Multiply every query with every vector, a thousand at a time."""
    columns = torch.from_numpy(vectors).T
    for start in range(0, len(queries), 1000):
        torch.mm(torch.from_numpy(queries[start : start + 1000]), columns)


def _timed(call: Callable[[], T]) -> tuple[NDArray[np.float64], T]:
    """Return the seconds on the wall and those of all threads together, and what the call returns."""
    wall, threads = time.perf_counter(), time.process_time()
    result = call()
    return np.array([time.perf_counter() - wall, time.process_time() - threads]), result


def _read(path: Path) -> Vectors:
    if path.suffix == ".parquet":
        return np.stack(pq.read_table(path, columns=["embedding"])["embedding"].to_numpy()).astype(np.float32)
    return np.ascontiguousarray(np.load(path, allow_pickle=False), np.float32)


if __name__ == "__main__":
    main()
