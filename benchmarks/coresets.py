"""What selecting by shards costs in coverage, and how much of it the composed bound proves.

python -m benchmarks.coresets [--quick] [FILE.npy ...]

Radii are in units of the exact farthest-first selection's. Rows go to shards at random, or by a direction of space as they would by day
or by camera. A file holds (n, d) embeddings.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Rows = list[NDArray[np.int64]]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    sys.stdout.write(
        "| data | n x d -> k | shards | true radius | composed bound | optimum proven in | exact | by shards |\n"
        "|---|---|---|---|---|---|---|---|\n"
    )
    n, k = (2_000, 20) if given.quick else (100_000, 500)
    for name, x in _data(n):
        _lines(name, x, k)
    for file in given.files:
        x = np.load(file).astype(np.float32)
        _lines(file.stem, x, len(x) // 40)


def _lines(name: str, x: NDArray[np.float32], k: int) -> None:
    from worker.device import choose_device
    from worker.selection.coresets import select_by_shards
    from worker.selection.farthest import farthest_first
    from worker.selection.neighbours import nearest

    device = choose_device("cpu")
    start = time.perf_counter()
    exact = farthest_first(x, k)
    whole_s = time.perf_counter() - start
    for how, shards in _cuts(x):
        start = time.perf_counter()
        found = select_by_shards(x, shards, k, device=device)
        seconds = time.perf_counter() - start
        true = float(nearest(x, x[found.rows], 1, device=device)[0].max())
        unit = exact.radius
        sys.stdout.write(
            f"| {name} | {len(x):,} x {x.shape[1]} -> {k} | {len(shards)} {how} | {true / unit:.3f}"
            f" | {found.bound / unit:.3f} | [{found.lowest / unit:.3f}, {true / unit:.3f}]"
            f" | {whole_s:.2f} s | {seconds:.2f} s |\n"
        )
        sys.stdout.flush()


def _cuts(x: NDArray[np.float32]) -> Iterator[tuple[str, Rows]]:
    rng = np.random.default_rng(1)
    along = np.argsort(x @ rng.standard_normal(x.shape[1]), kind="stable")
    yield "whole", [np.arange(len(x))]
    for count in (4, 16):
        owners = rng.integers(0, count, len(x))
        yield "random", [np.flatnonzero(owners == shard) for shard in range(count)]
        yield "by place", [np.sort(part) for part in np.array_split(along, count)]


def _data(n: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
    rng = np.random.default_rng(0)
    yield "gaussian", rng.standard_normal((n, 32), dtype=np.float32)
    places = rng.standard_normal((100, 32))
    yield (
        "100 clusters",
        (places[rng.integers(0, 100, n)] + 0.1 * rng.standard_normal((n, 32))).astype(np.float32),
    )
    bent = np.tanh(rng.standard_normal((n, 5)) @ rng.standard_normal((5, 64)))
    yield "bent 5 in 64", (bent / np.linalg.norm(bent, axis=1, keepdims=True)).astype(np.float32)


if __name__ == "__main__":
    main()
