"""Diversity beside weights and balance, against lightly-mundig; and how often it picks what we pick.

    python -m benchmarks.mixture [--quick] [--repeats 3]
    python -m benchmarks.mixture --agreement 1000

Runs take turns, so that a busy machine slows both alike, and the table has medians. Ratios are the result; seconds belong to
the machine. Seconds of processor time count all threads. Needs the extra `dev`.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch

from benchmarks.agreement import Problem, largest_shortfall, mundig_picks, problem
from worker.device import choose_device
from worker.selection.engine import select
from worker.selection.pool import Pool
from worker.selection.terms import Balance, Diversity, Values, Weights

T = TypeVar("T")

_CLASSES = 10
CASES = ((50_000, 128, 1_000),)
QUICK = ((5_000, 32, 100),)


def categories(rng: np.random.Generator, rows: int) -> Values:
    """Return a one in one of ten classes for each row."""
    return np.eye(_CLASSES)[rng.integers(0, _CLASSES, rows)]


def probabilities(rng: np.random.Generator, rows: int) -> Values:
    """Return probabilities of ten classes, different ones for each row."""
    return rng.dirichlet(np.ones(_CLASSES), rows)


def main() -> None:
    """Print the table, or the agreement."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one small case")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--agreement", type=int, metavar="PROBLEMS", help="judge mundig's picks on so many problems"
    )
    asked = parser.parse_args()
    if asked.agreement:
        sys.stdout.write(_agreement(asked.agreement))
        return
    sys.stdout.write(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, on the CPU\n"
        "| balance of | n x d -> k | ours s | mundig s | mundig / ours | the same in processor time"
        " | mundig's largest shortfall | equal picks until |\n|---|---|---|---|---|---|---|---|\n"
    )
    for case in QUICK if asked.quick else CASES:
        for make in (categories, probabilities):
            sys.stdout.write(_row(make, case, 1 if asked.quick else asked.repeats) + "\n")
            sys.stdout.flush()


def _row(make: Callable[[np.random.Generator, int], Values], case: tuple[int, int, int], repeats: int) -> str:
    rows, dimension, n = case
    given = _given(make, rows, dimension, n)
    device = choose_device("cpu")
    ours_s, mundig_s = [], []
    for _ in range(repeats):
        seconds, ours = _timed(lambda: select(given.pool, given.terms, n, device=device))
        ours_s.append(seconds)
        seconds, theirs = _timed(lambda: mundig_picks(given))
        mundig_s.append(seconds)
    ours_wall, ours_cpu = (statistics.median(s) for s in zip(*ours_s, strict=True))
    wall, cpu = (statistics.median(s) for s in zip(*mundig_s, strict=True))
    differ = [at for at, (a, b) in enumerate(zip(ours.rows.tolist(), theirs, strict=True)) if a != b]
    return (
        f"| {make.__name__} | {rows} x {dimension} -> {n} | {ours_wall:.2f} | {wall:.2f} | {wall / ours_wall:.1f}"
        f" | {cpu / ours_cpu:.1f} | {_first(given, theirs):.1e} | {differ[0] if differ else 'the end'} |"
    )


def _first(given: Problem, picks: Sequence[int]) -> float:
    """Judge the first 100 picks: each judgement looks at every candidate."""
    return largest_shortfall(given, picks[:100])


def _given(make: Callable[[np.random.Generator, int], Values], rows: int, dimension: int, n: int) -> Problem:
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((rows, dimension), dtype=np.float32)
    weights = Weights(rng.random(rows, dtype=np.float32).astype(np.float64))
    shares = make(rng, rows).astype(np.float32).astype(np.float64)
    balance = Balance(shares, np.full(_CLASSES, 1 / _CLASSES))
    pool = Pool(embeddings, np.ones(rows, np.bool_))
    return Problem(pool, (Diversity(), weights, balance), n, np.empty(0, np.int64))


def _timed(call: Callable[[], T]) -> tuple[tuple[float, float], T]:
    """Return seconds on the wall and of processor time, and the result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    return (time.perf_counter() - wall, time.process_time() - cpu), result


def _agreement(problems: int) -> str:
    device = choose_device("cpu")
    same, shortfalls = 0, []
    for seed in range(problems):
        given = problem(seed, largest=5_000)
        theirs = mundig_picks(given)
        ours = select(given.pool, given.terms, given.n, device=device, preselected=given.preselected)
        same += ours.rows.tolist() == theirs
        shortfalls.append(largest_shortfall(given, theirs))
    return (
        f"{problems} problems: {same} whole sequences are the same. No pick of mundig's is below the best of its step"
        f" by more than {max(shortfalls):.1e} of it, and {sum(s > 1e-6 for s in shortfalls)} by more than 1e-6.\n"
    )


if __name__ == "__main__":
    main()
