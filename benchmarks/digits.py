"""What a small budget of labels is worth: every mode and its peers on scikit-learn's digits.

    python -m benchmarks.digits [--quick] [--venv DIR]

1,297 digits (8 x 8 pixels / 16, no model) are the pool, 500 are never seen. Each way picks k; the picks' labels train a
nearest-neighbour and a logistic classifier, and the 500 judge them (one of these is 0.2 %). Beside it: the largest and the mean
distance from a digit of the pool to its closest pick, and how many classes were hit. No way sees a label before it has
picked. TypiClust, ProbCover and apricot's facility location run in the environment of `benchmarks.peers`. Needs the
extra `dev`. --quick: only our own ways, 10 and 30 picks.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from benchmarks.peer_environment import call, peers_python
from worker.device import choose_device
from worker.selection.engine import select
from worker.selection.neighbours import nearest, nearest_others
from worker.selection.pool import Pool
from worker.selection.terms import Diversity, Term, Weights

Rows = NDArray[np.int64]
Pick = Callable[[int], list[Rows]]

BUDGETS = (10, 30, 100, 300)
RUNS = 10
DEVICE = choose_device("cpu")


@dataclass(frozen=True, slots=True)
class Digits:
    """Pixels (n, 64) and digits (n,) of the pool and of what judges it."""

    pool: Pool
    labels: NDArray[np.int64]
    unseen: NDArray[np.float32]
    unseen_labels: NDArray[np.int64]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="our own ways, 10 and 30 picks")
    parser.add_argument("--venv", type=Path, help="where the peers' environment is, or will be")
    asked = parser.parse_args()
    digits = load()
    ways = our_ways(digits.pool)
    if not asked.quick:
        ways |= peer_ways(digits.pool, peers_python(asked.venv))
    sys.stdout.write(
        "| k | way | 1-NN % | logistic % | radius | mean distance | classes |\n" + "|---" * 7 + "|\n"
    )
    for k in BUDGETS[:2] if asked.quick else BUDGETS:
        for name, pick in ways.items():
            sys.stdout.write(f"| {k} | {name} | {judge(digits, pick(k))} |\n")
            sys.stdout.flush()


def load() -> Digits:
    """Return the digits, shuffled: the first 1,297 are the pool."""
    images = load_digits()
    order = np.random.default_rng(0).permutation(len(images.target))
    x, y = (images.data / 16).astype(np.float32)[order], images.target[order]
    return Digits(Pool(x[:1297], np.ones(1297, np.bool_)), y[:1297], x[1297:], y[1297:])


def our_ways(pool: Pool) -> dict[str, Pick]:
    """Return our modes. Diversity alone starts from ten rows, random draws have ten seeds."""
    rows = len(pool)
    typicality = Weights(typicalities(pool.embeddings), is_typicality=True)
    both: list[Term] = [Diversity(), typicality]
    return {
        "random": lambda k: [np.random.default_rng(seed).permutation(rows)[:k] for seed in range(RUNS)],
        "diversity": lambda k: [farthest_from(pool, first, k) for first in range(RUNS)],
        "objective_product, diversity and typicality": lambda k: [select(pool, both, k, device=DEVICE).rows],
        "gain_product, diversity and typicality": lambda k: [
            select(pool, both, k, device=DEVICE, mode="gain_product").rows
        ],
        "submodular, diversity": lambda k: [
            select(pool, [Diversity()], k, device=DEVICE, mode="submodular").rows
        ],
        "submodular, diversity and typicality": lambda k: [
            select(pool, both, k, device=DEVICE, mode="submodular").rows
        ],
    }


def peer_ways(pool: Pool, python: Path) -> dict[str, Pick]:
    """Return the peers that know typical samples, each called in a process of its own."""

    def way(*names: str) -> Pick:
        return lambda k: [_called(python, name, pool, k) for name in names]

    return {
        "TypiClust": way(*(f"TypiClust {seed}" for seed in range(5))),
        "ProbCover 1.3": way("ProbCover 1.3"),
        "facility location (apricot)": way("apricot"),
        "facility location of squares (apricot)": way("apricot, squares"),
    }


def typicalities(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean of exp(-distance / D) to the 20 nearest others; D is the mean of all these distances."""
    distances = nearest_others(x, 20, device=DEVICE)[0]
    return np.exp(-distances / distances.mean()).mean(axis=1)


def farthest_from(pool: Pool, first: int, k: int) -> Rows:
    """Return this row, and the farthest ones after it."""
    start = np.array([first])
    return np.append(start, select(pool, [Diversity()], k - 1, device=DEVICE, preselected=start).rows)


def judge(digits: Digits, draws: list[Rows]) -> str:
    """Return the cells of one row of the table: means over draws, and the spread of the first."""
    facts = np.array([list(_facts(digits, rows)) for rows in draws])
    one_nn, logistic, radius, mean, classes = facts.mean(axis=0)
    spread = f" +/- {facts[:, 0].std(ddof=1):.1f}" if len(draws) > 1 else ""
    return f"{one_nn:.1f}{spread} | {logistic:.1f} | {radius:.3f} | {mean:.3f} | {classes:.1f}"


def _called(python: Path, name: str, pool: Pool, k: int) -> Rows:
    found = call(python, name, pool.embeddings, k)
    if isinstance(found, str):
        raise SystemExit(f"{name}: {found}")
    return found.rows


def _facts(digits: Digits, rows: Rows) -> Iterator[float]:
    x, y = digits.pool.embeddings, digits.labels
    for model in (KNeighborsClassifier(1), LogisticRegression(max_iter=2000)):
        yield 100 * model.fit(x[rows], y[rows]).score(digits.unseen, digits.unseen_labels)
    distances = nearest(x, x[rows], 1, device=DEVICE)[0]
    yield float(distances.max())
    yield float(distances.mean())
    yield float(len(np.unique(y[rows])))


if __name__ == "__main__":
    main()
