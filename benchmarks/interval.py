"""How near the smallest possible covering radius is known: a traversal alone, and after `interval.narrow`.

python -m benchmarks.interval [--steps N] [--quick] [FILE.npy ...]

A farthest-first traversal proves [r / 2, r], a ratio of 2. Radii are in units of r. A file holds (n, d) embeddings.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_PLACES, _INTRINSIC = 100, 5


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    sys.stdout.write(
        "| data | n | k | lowest | highest | ratio | selection | narrow |\n|---|---|---|---|---|---|---|---|\n"
    )
    for name, x in _data(2000 if given.quick else 20_000):
        sizes = [(2000, 20), (2000, 100)] if given.quick else [(2000, 20), (5000, 100), (20_000, 500)]
        for n, k in sizes:
            _line(name, x[:n], k, steps=given.steps)
    for file in given.files:
        x = np.load(file).astype(np.float32)
        for k in (20, len(x) // 40, len(x) // 10):
            _line(file.stem, x, k, steps=given.steps)


def _line(name: str, x: NDArray[np.float32], k: int, *, steps: int) -> None:
    from worker.device import choose_device
    from worker.selection.farthest import farthest_first
    from worker.selection.interval import narrow

    start = time.perf_counter()
    first = farthest_first(x, k)
    selected = time.perf_counter()
    found = narrow(x, np.arange(len(x)), first.rows, first.radius, device=choose_device("cpu"), steps=steps)
    end = time.perf_counter()
    low, high = found.lowest / first.radius, found.highest / first.radius
    sys.stdout.write(
        f"| {name} | {len(x)} | {k} | {low:.3f} | {high:.3f} | {high / low:.2f}"
        f" | {selected - start:.2f} s | {end - selected:.1f} s |\n"
    )
    sys.stdout.flush()


def _data(n: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
    rng = np.random.default_rng(0)
    for d in (2, 8, 32, 128):
        yield f"normal, {d} dimensions", rng.standard_normal((n, d), dtype=np.float32)
    places = rng.standard_normal((_PLACES, 32))
    noise = 0.1 * rng.standard_normal((n, 32))
    yield f"{_PLACES} clusters in 32", (places[rng.integers(0, _PLACES, n)] + noise).astype(np.float32)
    bent = np.tanh(rng.standard_normal((n, _INTRINSIC)) @ rng.standard_normal((_INTRINSIC, 64)))
    bent /= np.linalg.norm(bent, axis=1, keepdims=True)
    yield f"bent {_INTRINSIC} in 64, unit length", bent.astype(np.float32)


if __name__ == "__main__":
    main()
