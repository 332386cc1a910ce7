"""Exact diversity against lightly-mundig and against a bare matrix product of the same arithmetic.

    python -m benchmarks.diversity [--quick] [--repeats 3]

Our selection and the product take turns, so that a busy machine slows both alike, and the table has medians; mundig, which
takes far longer, runs once in between. Ratios are the result; seconds belong to the machine. `multiplied` is the share of
all row-centre pairs that took part in a product. Needs the extra `dev`.
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
from worker.selection.farthest import Traversal, traverse
from worker.selection.lookahead.bounds import upper_bounds
from worker.selection.lookahead.shards import LocalShard
from worker.selection.pool import Pool

T = TypeVar("T")

_COLUMNS = 500


@dataclass(frozen=True, slots=True)
class Case:
    """n rows of d numbers, k picks."""

    n: int
    d: int
    k: int


CASES = (Case(50_000, 128, 1_000), Case(50_000, 512, 1_000), Case(100_000, 32, 3_000))
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
        "| data | n x d -> k | ours s | mundig s | mm s | mundig / ours | ours / mm | passes | multiplied"
        " | radius ours | radius mundig | equal picks until |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n"
    )
    for case in QUICK if asked.quick else CASES:
        for make in (gaussian, clustered, low_dimension):
            x = make(np.random.default_rng(0), case)
            sys.stdout.write(_row(make.__name__, case, x, asked.repeats) + "\n")
            sys.stdout.flush()


def _row(name: str, case: Case, x: NDArray[np.float32], repeats: int) -> str:
    product = _bare_product(x, case.k)
    product()
    ours_s, product_s, ratios = [], [], []
    mundig_s, theirs = 0.0, np.empty(0, np.int64)
    for turn in range(repeats):
        seconds, (ours, share) = _timed(lambda: _ours(x, case.k))
        ours_s.append(seconds)
        product_s.append(_timed(product)[0])
        ratios.append(ours_s[-1] / product_s[-1])
        if turn == repeats // 2:
            mundig_s, theirs = _timed(lambda: _mundig(x, case.k))
    radius = covering_radius(
        Pool(x, np.ones(len(x), np.bool_)), theirs, device=choose_device("cpu"), tile_bytes=2**23
    )
    differ = np.flatnonzero(ours.rows != theirs)
    return (
        f"| {name} | {case.n} x {case.d} -> {case.k} | {statistics.median(ours_s):.3f} | {mundig_s:.2f}"
        f" | {statistics.median(product_s):.3f} | {mundig_s / statistics.median(ours_s):.1f}"
        f" | {statistics.median(ratios):.2f} | {ours.passes} | {share:.2f}"
        f" | {ours.radius:.6f} | {radius:.6f} | {differ[0] if len(differ) else 'the end'} |"
    )


def _ours(x: NDArray[np.float32], k: int) -> tuple[Traversal, float]:
    """Return what `farthest_first` does, and the share of row-centre pairs that were multiplied."""
    with upper_bounds(x, np.arange(len(x)), device="cpu", tile_bytes=2**23) as bounds:
        found = traverse(LocalShard(bounds), k, afresh=True)
        return found, bounds.multiplied / (len(x) * k)


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
