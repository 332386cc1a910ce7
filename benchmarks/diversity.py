"""Exact diversity against lightly-mundig and against a bare matrix product of the same arithmetic.

    python -m benchmarks.diversity [--quick]

Runs are interleaved, so that a busy machine slows all alike, and the table has medians of three. Ratios are the result;
seconds belong to the machine. Needs the extra `bench`.
"""

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import lightly_mundig
import numpy as np
import torch
from numpy.typing import NDArray

from worker.device import choose_device
from worker.selection.engine import covering_radius
from worker.selection.farthest import farthest_first
from worker.selection.pool import Pool

T = TypeVar("T")

_COLUMNS = 500


@dataclass(frozen=True, slots=True)
class Case:
    """n rows of d numbers, k picks."""

    n: int
    d: int
    k: int


CASES = (Case(50_000, 128, 1_000), Case(100_000, 32, 3_000))
QUICK = (Case(10_000, 64, 300),)


def gaussian(rng: np.random.Generator, case: Case) -> NDArray[np.float32]:
    """Return independent normal numbers: the hardest case, since all distances are alike."""
    return rng.standard_normal((case.n, case.d), dtype=np.float32)


def clustered(rng: np.random.Generator, case: Case) -> NDArray[np.float32]:
    """Return 200 clusters whose spread is a tenth of the distance between them."""
    centres = rng.standard_normal((200, case.d), dtype=np.float32)
    return centres[rng.integers(0, 200, case.n)] + np.float32(0.1) * gaussian(rng, case)


def low_dimension(rng: np.random.Generator, case: Case) -> NDArray[np.float32]:
    """Return points of a 10-dimensional subspace with a little noise."""
    inner = rng.standard_normal((case.n, 10), dtype=np.float32)
    return inner @ rng.standard_normal((10, case.d), dtype=np.float32) + np.float32(0.01) * gaussian(
        rng, case
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one small case")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    sys.stdout.write(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, on the CPU\n"
        "| data | n x d -> k | ours s | mundig s | mm s | mundig / ours | ours / mm | passes"
        " | radius ours | radius mundig | equal picks until |\n|---|---|---|---|---|---|---|---|---|---|---|\n"
    )
    for case in QUICK if asked.quick else CASES:
        for make in (gaussian, clustered, low_dimension):
            x = make(np.random.default_rng(0), case)
            sys.stdout.write(_row(make.__name__, case, x, asked.repeats) + "\n")
            sys.stdout.flush()


def _row(name: str, case: Case, x: NDArray[np.float32], repeats: int) -> str:
    product = _bare_product(x, case.k)
    product()
    ours_s, mundig_s, product_s = [], [], []
    for _ in range(repeats):
        seconds, ours = _timed(lambda: farthest_first(x, case.k))
        ours_s.append(seconds)
        seconds, theirs = _timed(lambda: _mundig(x, case.k))
        mundig_s.append(seconds)
        product_s.append(_timed(product)[0])
    a, b, c = (statistics.median(times) for times in (ours_s, mundig_s, product_s))
    differ = np.flatnonzero(ours.rows != theirs)
    pool = Pool(x, np.ones(len(x), np.bool_))
    radius = covering_radius(pool, theirs, device=choose_device("cpu"))
    return (
        f"| {name} | {case.n} x {case.d} -> {case.k} | {a:.3f} | {b:.2f} | {c:.3f} | {b / a:.1f} | {a / c:.2f} | {ours.passes}"
        f" | {ours.radius:.6f} | {radius:.6f} | {differ[0] if len(differ) else 'the end'} |"
    )


def _timed(call: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def _mundig(x: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    selection = lightly_mundig.Selection()
    selection.add_diversifying_strategy(embeddings=x, strength=1.0)
    rows = selection.run_selection(preselected_indices=[], n_total_samples=len(x), n_samples_to_select=k)
    return np.array(rows)


def _bare_product(x: NDArray[np.float32], k: int) -> Callable[[], None]:
    """Return n * k * d multiplications and additions: what a pass for every pick would need, as torch does them best."""
    rows = torch.from_numpy(x)
    columns = math.gcd(k, _COLUMNS)
    out = torch.empty(len(x), columns)

    def run() -> None:
        for start in range(0, k, columns):
            torch.mm(rows, rows[start : start + columns].T, out=out)

    return run


if __name__ == "__main__":
    main()
