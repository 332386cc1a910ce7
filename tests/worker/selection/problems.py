"""Random small selection problems, with the ties, twins and zeros that real data has."""

from dataclasses import dataclass

import numpy as np

from worker.selection.terms import Balance, Diversity, Objects, Weights


@dataclass(frozen=True)
class Problem:
    x: np.ndarray
    terms: list
    n: int
    candidates: np.ndarray
    preselected: np.ndarray


def vectors(rng, n, d):
    """Gaussian, or on a coarse grid so that distances tie, or with twins."""
    match rng.integers(3):
        case 0:
            return rng.standard_normal((n, d)).astype(np.float32)
        case 1:
            return rng.integers(0, 3, (n, d)).astype(np.float32)
        case _:
            return rng.standard_normal((max(1, n // 3), d)).astype(np.float32)[
                rng.integers(0, max(1, n // 3), n)
            ]


def weights(rng, n):
    """Random, few different ones, or with many zeros."""
    match rng.integers(3):
        case 0:
            return rng.random(n)
        case 1:
            return rng.integers(0, 3, n).astype(np.float64)
        case _:
            return rng.random(n) * (rng.random(n) < 0.5)


def balance(rng, n, strength):
    """Categories, probabilities, or counts with rows that have none; a target with or without zeros."""
    classes = int(rng.integers(1, 5))
    match rng.integers(3):
        case 0:
            shares = np.eye(classes)[rng.integers(0, classes, n)]
        case 1:
            shares = rng.dirichlet(np.ones(classes), n)
        case _:
            shares = rng.integers(0, 3, (n, classes)).astype(np.float64)
    target = rng.random(classes) * (rng.random(classes) < 0.8)
    target = target if target.sum() > 0 else np.ones(classes)
    return Balance(shares, target / target.sum(), strength)


def objects(rng, n, d):
    owners = np.sort(rng.integers(0, n, int(rng.integers(1, 2 * n))))
    return Objects(vectors(rng, len(owners), d), owners)


def strength(rng, *, positive=False):
    choices = [0.5, 1.0, 1.0, 2.0, 3.0]
    return float(rng.choice(choices if positive else [*choices, -1.0, 0.0]))


def spaced(rng):
    """Return how near is too near, half of the time, and what happens then."""
    return {
        "minimum_distance": float(rng.choice([0.0, 0.0, rng.random() * 2])),
        "on_too_close": str(rng.choice(["skip", "stop"])),
    }


def lazy_problem(seed, n=30):
    """Return one with a diversity of positive strength beside weights and balance."""
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(1, n)), int(rng.integers(1, 5))
    terms = [Diversity(strength(rng, positive=True), **spaced(rng))]
    terms += [Weights(weights(rng, n), strength(rng)) for _ in range(rng.integers(0, 3))]
    terms += [balance(rng, n, strength(rng)) for _ in range(rng.integers(0, 3))]
    return _problem(rng, vectors(rng, n, d), terms)


def any_problem(seed, n=14):
    """Return one with any terms."""
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(1, n)), int(rng.integers(1, 4))
    terms = []
    for _ in range(rng.integers(1, 4)):
        match rng.integers(5):
            case 0:
                terms.append(Diversity(strength(rng), **spaced(rng)))
            case 1:
                terms.append(Diversity(strength(rng), objects(rng, n, d), **spaced(rng)))
            case 2:
                stops = {"stop_at_sum": float(rng.random() * n) if rng.random() < 0.3 else None}
                stops["stop_below"] = 0.2 if rng.random() < 0.2 else None
                terms.append(Weights(weights(rng, n), strength(rng), **stops))
            case 3:
                least = float(rng.choice([0.0, rng.random() * 3]))
                most = float(rng.choice([np.inf, least + rng.random() * 3]))
                terms.append(Weights(weights(rng, n), strength(rng), target=(least, most)))
            case _:
                terms.append(balance(rng, n, strength(rng)))
    return _problem(rng, vectors(rng, n, d), terms)


def _problem(rng, x, terms):
    n = len(x)
    preselected = rng.permutation(n)[: rng.choice([0, 0, min(3, n - 1)])]
    candidates = np.setdiff1d(np.flatnonzero(rng.random(n) < 0.9), preselected)
    return Problem(x, terms, int(rng.integers(1, n + 3)), candidates, preselected)
