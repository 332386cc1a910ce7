"""Random selection problems given to lightly-mundig, whose picks are then judged by our objectives.

It computes in float32, so that two candidates may change places and everything after them is another selection. Each
of its picks is therefore judged on its own prefix: how much smaller is the product of objectives, with this pick, than
the largest product with any candidate? That is a ratio of the values which are maximised, whatever the strengths.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import lightly_mundig
import numpy as np
from numpy.typing import NDArray

from worker.selection.objectives import Rows, log, objective_of
from worker.selection.pool import Pool
from worker.selection.terms import Balance, Diversity, Objects, Term, Weights

STRENGTHS = (-1.0, 0.5, 1.0, 2.0, 3.0)


@dataclass(frozen=True, slots=True)
class Problem:
    """A pool of which every row is a candidate, and what is asked for."""

    pool: Pool
    terms: tuple[Term, ...]
    n: int
    preselected: Rows


def problem(seed: int, *, largest: int) -> Problem:
    """Return one with at most so many rows, one to three terms, and at most six rows selected already."""
    rng = np.random.default_rng(seed)
    rows, dimension = int(rng.integers(60, largest + 1)), int(rng.integers(2, 17))
    embeddings = rng.standard_normal((rows, dimension)).astype(np.float32)
    strengths = rng.choice(STRENGTHS, 3)
    terms: list[Term] = []
    match rng.integers(3):
        case 0:
            terms.append(Diversity(strengths[0]))
        case 1:
            terms.append(Diversity(strengths[0], _objects(rng, rows, dimension)))
        case _:
            pass
    if rng.random() < 0.7 or not terms:
        # float32 numbers, so that both see the same.
        terms.append(Weights(_rounded(0.5 + rng.random(rows)), strengths[1]))
    if rng.random() < 0.6:
        terms.append(_balance(rng, rows, strengths[2]))
    preselected = rng.permutation(rows)[: rng.choice([0, 0, 1, 6])]
    return Problem(
        Pool(embeddings, np.ones(rows, np.bool_)), tuple(terms), int(rng.integers(10, 41)), preselected
    )


def mundig_picks(given: Problem) -> list[int]:
    """Return its picks, without the preselected rows."""
    return run_mundig(given.pool.embeddings, given.terms, given.n, given.preselected)


def run_mundig(
    embeddings: NDArray[np.float32], terms: Sequence[Term], n: int, preselected: Rows
) -> list[int]:
    """Return the n picks that lightly-mundig makes."""
    selection = lightly_mundig.Selection()
    for term in terms:
        match term:
            case Diversity(strength=strength, objects=None):
                selection.add_diversifying_strategy(embeddings=embeddings, strength=strength)
            case Diversity(strength=strength, objects=objects) if objects is not None:
                ends = np.searchsorted(objects.owners, np.arange(len(embeddings) + 1)).tolist()
                selection.add_subpart_diversifying_strategy(
                    embeddings=objects.embeddings,
                    sample_to_subpart_indices=[list(range(a, b)) for a, b in pairwise(ends)],
                    strength=strength,
                )
            case Weights(values=values, strength=strength):
                selection.add_weighting_strategy(weights=values.astype(np.float32), strength=strength)
            case Balance(shares=shares, target=target, strength=strength):
                selection.add_balancing_strategy(
                    class_distributions=shares.astype(np.float32),
                    target=target.astype(np.float32),
                    strength=strength,
                )
    rows: list[int] = selection.run_selection(
        preselected_indices=preselected.tolist(),
        n_total_samples=len(embeddings),
        n_samples_to_select=n + len(preselected),
    )
    return rows[len(preselected) :]


def largest_shortfall(given: Problem, picks: Sequence[int]) -> float:
    """Return by how much of it, at most, the product of any of these picks lies below the largest of its step."""
    pool, terms = given.pool, given.terms
    objectives = [
        (objective_of(t, pool, n=given.n, preselected=given.preselected), t.strength) for t in terms
    ]
    open_ = pool.candidates.copy()
    open_[given.preselected] = False
    largest = 0.0
    for pick in picks:
        logs = np.zeros(len(pool))
        for objective, strength in objectives:
            values = objective.values()
            logs += 0.0 if values is None else strength * log(values)
        largest = max(largest, -float(np.expm1(logs[pick] - logs[open_].max())))
        open_[pick] = False
        for objective, _ in objectives:
            objective.add(pick)
    return largest


def _objects(rng: np.random.Generator, rows: int, dimension: int) -> Objects:
    """Return up to three objects a row; a few rows have none."""
    owners = np.repeat(np.arange(rows), rng.choice([0, 1, 2, 3], rows, p=[0.05, 0.45, 0.3, 0.2]))
    return Objects(rng.standard_normal((len(owners), dimension)).astype(np.float32), owners)


def _balance(rng: np.random.Generator, rows: int, strength: float) -> Balance:
    classes = int(rng.integers(2, 6))
    if rng.random() < 0.5:
        shares = np.eye(classes)[rng.integers(0, classes, rows)]
    else:
        shares = _rounded(rng.dirichlet(np.ones(classes), rows))
    target = _rounded(rng.dirichlet(np.full(classes, 3.0)))
    return Balance(shares, target, strength)


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values.astype(np.float32).astype(np.float64)
