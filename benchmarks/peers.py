"""Selection beside the libraries that people would use instead, each in a process of its own.

    python -m benchmarks.peers [--quick] [--venv DIR]

Diversity on three kinds of data beside farthest-first traversals, and facility location beside apricot. The peers get
an environment of their own on first use (peers.txt; in the user's cache, or in --venv). Only the call is timed, on an
array that is loaded, after one that warms up. Linux only.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.peer_environment import Measured, call, peers_python
from worker.selection.exact import squared_distances

TOLERANCE = 1e-5
"""Relative, of distances: float32 cannot do much better."""

_DIVERSITY = ("lightly-mundig", "skmatter FPS", "skmatter VoronoiFPS", "fpsample", "scikit-activeml CoreSet")


@dataclass(frozen=True, slots=True)
class Case:
    """n rows of d numbers, k picks."""

    n: int
    d: int
    k: int


CASES = (Case(10_000, 64, 1_000), Case(50_000, 128, 1_000))
COVERAGE = (Case(2_000, 64, 300), Case(5_000, 64, 300))


def gaussian(rng: np.random.Generator, case: Case) -> NDArray[np.float32]:
    """Return independent normal numbers: all distances are alike."""
    return rng.standard_normal((case.n, case.d), dtype=np.float32)


def clusters(rng: np.random.Generator, case: Case) -> NDArray[np.float32]:
    """Return 200 clusters whose spread is a tenth of the distance between them."""
    centres = rng.standard_normal((200, case.d), dtype=np.float32)
    return centres[rng.integers(0, 200, case.n)] + np.float32(0.1) * gaussian(rng, case)


def ten_dimensions(rng: np.random.Generator, case: Case) -> NDArray[np.float32]:
    """Return points of a 10-dimensional subspace with a little noise."""
    inner = rng.standard_normal((case.n, 10), dtype=np.float32)
    axes = rng.standard_normal((10, case.d), dtype=np.float32)
    return inner @ axes + np.float32(0.01) * gaussian(rng, case)


KINDS: tuple[Callable[[np.random.Generator, Case], NDArray[np.float32]], ...] = (
    gaussian,
    clusters,
    ten_dimensions,
)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the small cases only")
    parser.add_argument("--venv", type=Path, help="where the peers' environment is, or will be")
    parser.add_argument(
        "--timeout", type=float, default=180.0, metavar="S", help="of one process (default: 180)"
    )
    asked = parser.parse_args()
    peers = peers_python(asked.venv)
    quick = asked.quick
    _show(_diversity(peers, CASES[:1] if quick else CASES, asked.timeout))
    _show(_coverage(peers, COVERAGE[:1] if quick else COVERAGE, asked.timeout))


def first_departure(x: NDArray[np.float32], rows: NDArray[np.int64]) -> int | None:
    """Return the first pick that was not the farthest from those before it, by more than 1e-5; None if all were.

    Distances by differences in float64, on the picks' own prefix: so the first pick is free, and no tie counts.
    """
    nearest = squared_distances(x, x[rows[:1]])
    for step, row in enumerate(rows[1:].tolist(), start=1):
        if nearest[row] < nearest.max() * (1 - TOLERANCE) ** 2:
            return step
        np.minimum(nearest, squared_distances(x, x[row : row + 1]), out=nearest)
    return None


def distances_to_picks(x: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the distance of each row to the closest pick, 512 picks at a time by products in float64."""
    wide = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    norms = np.einsum("ij,ij->i", wide, wide)
    nearest = np.full(len(x), np.inf)
    for start in range(0, len(rows), 512):
        picks = rows[start : start + 512]
        squares = norms[:, None] + norms[picks] - 2 * (wide @ wide[picks].T)
        np.minimum(nearest, squares.min(axis=1), out=nearest)
    return np.sqrt(nearest.clip(min=0))


def _diversity(peers: Path, cases: Sequence[Case], timeout_s: float) -> Iterator[str]:
    yield "## Diversity\n"
    yield (
        f"| data | n x d -> k | way | seconds | times ours | memory it needs, MiB | radius | farthest to {TOLERANCE:g} |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for case in cases:
        for kind in KINDS:
            x = kind(np.random.default_rng(0), case)
            start = f"| {kind.__name__} | {case.n} x {case.d} -> {case.k}"
            ours = call(sys.executable, "ours", x, case.k, timeout_s=timeout_s)
            yield _diversity_row(f"{start} | ours ", x, ours, ours)
            for name in _DIVERSITY:
                theirs = call(peers, name, x, case.k, timeout_s=timeout_s)
                yield _diversity_row(f"{start} | {name} ", x, theirs, ours)


def _diversity_row(start: str, x: NDArray[np.float32], found: Measured | str, ours: Measured | str) -> str:
    if isinstance(found, str):
        return f"{start}| {found} | | | | |"
    radius = distances_to_picks(x, found.rows).max()
    departure = first_departure(x, found.rows)
    exact = "all picks" if departure is None else f"until pick {departure}"
    return f"{start}| {_costs(found, ours)} | {radius:.5f} | {exact} |"


def _coverage(peers: Path, cases: Sequence[Case], timeout_s: float) -> Iterator[str]:
    yield "\n## Facility location\n"
    yield "| data | n x d -> k | way | seconds | times ours | memory it needs, MiB | mean distance to a pick |"
    yield "|---|---|---|---|---|---|---|"
    for case in cases:
        for kind in KINDS:
            x = kind(np.random.default_rng(0), case)
            ours = call(sys.executable, "ours, submodular", x, case.k, timeout_s=timeout_s)
            theirs = call(peers, "apricot", x, case.k, timeout_s=timeout_s)
            for way, found in (("ours, submodular", ours), ("apricot", theirs)):
                start = f"| {kind.__name__} | {case.n} x {case.d} -> {case.k} | {way} "
                if isinstance(found, str):
                    yield f"{start}| {found} | | | |"
                else:
                    mean = distances_to_picks(x, found.rows).mean()
                    yield f"{start}| {_costs(found, ours)} | {mean:.6f} |"


def _costs(found: Measured, ours: Measured | str) -> str:
    ratio = "" if isinstance(ours, str) else f"{found.seconds / ours.seconds:.1f}"
    return f"{found.seconds:.3f} | {ratio} | {found.peak_bytes / 2**20:.0f}"


def _show(lines: Iterator[str]) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
