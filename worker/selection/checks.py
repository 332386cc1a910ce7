"""Refuses terms that do not fit their pool, naming the row."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from worker.selection.pool import Pool, first_unusable
from worker.selection.terms import Balance, Diversity, Objects, Term, Weights

_STRONGEST = 1e9


def check(terms: Sequence[Term], pool: Pool) -> None:
    """Raise ValueError where there is no term, or one with wrong shapes or numbers."""
    if not terms:
        raise ValueError("terms: at least one is needed; without any, draw at random")
    for term in terms:
        if not abs(term.strength) <= _STRONGEST:
            raise ValueError(f"strength should be from -1e9 to 1e9, got {term.strength}")
        match term:
            case Diversity():
                _check_diversity(term, len(pool))
            case Weights():
                _check_weights(term, len(pool))
            case Balance():
                _check_balance(term, len(pool))


def _check_diversity(term: Diversity, rows: int) -> None:
    if not 0 <= term.minimum_distance < math.inf:
        raise ValueError(f"minimum_distance should be finite and 0 or more, got {term.minimum_distance}")
    if term.objects is not None:
        _check_objects(term.objects, rows)


def _check_objects(objects: Objects, rows: int) -> None:
    vectors, owners = objects.embeddings, objects.owners
    if vectors.ndim != 2 or vectors.dtype != np.float32 or owners.shape != (len(vectors),):
        raise ValueError(
            f"objects should be (m, d) float32 with (m,) owners, got {vectors.dtype} of shape {vectors.shape}"
            f" with owners of shape {owners.shape}"
        )
    if len(owners) and (owners[0] < 0 or owners[-1] >= rows or (np.diff(owners) < 0).any()):
        raise ValueError(f"objects: owners should ascend, from 0 to {rows - 1} at most")
    wrong = first_unusable(vectors)
    if wrong is not None:
        raise ValueError(
            f"objects: row {owners[wrong]} owns a vector with NaN, infinity or a number beyond 1e18"
        )


def _check_weights(term: Weights, rows: int) -> None:
    if term.values.shape != (rows,):
        raise ValueError(f"weights should be ({rows},), one a row of the pool, got shape {term.values.shape}")
    _check_numbers(term.values, "weights")
    for name, limit in (("stop_at_sum", term.stop_at_sum), ("stop_below", term.stop_below)):
        if limit is not None and math.isnan(limit):
            raise ValueError(f"weights: {name} should be a number, got nan")
    if term.target is not None:
        least, most = term.target
        if not (0 <= least <= most and least < math.inf):
            raise ValueError(
                f"weights: target should be 0 <= least <= most with a finite least, got {term.target}"
            )


def _check_balance(term: Balance, rows: int) -> None:
    classes = len(term.target)
    if term.shares.shape != (rows, classes) or not classes:
        raise ValueError(
            f"shares should be ({rows}, {classes}), a column a class of the target, got shape {term.shares.shape}"
        )
    _check_numbers(term.shares, "shares")
    total = float(term.target.sum())
    if not (term.target >= 0).all() or not math.isclose(total, 1.0, abs_tol=1e-6):
        raise ValueError(f"target should be 0 or more for each class and add up to 1, got a sum of {total:g}")


def _check_numbers(values: NDArray[np.float64], name: str) -> None:
    wrong = ~(np.isfinite(values) & (values >= 0))
    if wrong.any():
        row = int(wrong.reshape(len(values), -1).any(axis=1).argmax())
        raise ValueError(f"{name}: row {row} has {values[row]}; {name} should be finite and 0 or more")
