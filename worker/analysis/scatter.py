"""The embedding in two dimensions, and samples whose pictures make it readable."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from worker.analysis.distances import Embeddings, Rows
from worker.facts import Example, Scatter

STAGE = 102
MAX_POINTS = 10_000
EXAMPLES = 24
_BLOCK_ROWS = 65_536


def scatter(
    embeddings: Embeddings,
    *,
    names: Sequence[str],
    inputs: Rows,
    selected: Rows,
    preselected: Rows,
    seed: int,
) -> Scatter:
    """Project (n, d) embeddings on their two main axes; at most MAX_POINTS points a set, drawn with the seed."""
    rng = np.random.Generator(np.random.PCG64([seed, STAGE]))
    mean, axes, explained = principal_axes(embeddings)
    shown = {
        name: _at_most(rows, rng)
        for name, rows in (("input", inputs), ("selected", selected), ("datapool", preselected))
    }
    points = {name: _project(embeddings, rows, mean, axes) for name, rows in shown.items()}
    return Scatter(
        explained=explained,
        input=_pairs(points["input"]),
        input_total=len(inputs),
        selected=_pairs(points["selected"]),
        selected_total=len(selected),
        datapool=_pairs(points["datapool"]),
        datapool_total=len(preselected),
        examples=_examples(names, selected, shown, points),
    )


def principal_axes(
    embeddings: Embeddings,
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[float, float]]:
    """Return the mean (d,), the two main axes (d, 2) and the share of the variance along each.

    The largest component of an axis is positive, so that the same embedding always gives the same picture. What
    does not exist (one dimension, one sample) is zero. Memory: one block of 65,536 rows in float64.
    """
    n, d = embeddings.shape
    axes = np.zeros((d, 2))
    mean: NDArray[np.float64] = np.asarray(embeddings.mean(axis=0, dtype=np.float64)) if n else np.zeros(d)
    covariance = np.zeros((d, d))
    for start in range(0, n, _BLOCK_ROWS):
        centred = embeddings[start : start + _BLOCK_ROWS] - mean
        covariance += centred.T @ centred
    values, vectors = np.linalg.eigh(covariance)
    total = float(values.clip(min=0).sum())
    shares = [0.0, 0.0]
    for axis in range(min(2, d)):
        vector = vectors[:, -1 - axis]
        if total <= 0 or values[-1 - axis] <= 1e-12 * total:
            continue
        axes[:, axis] = vector * np.sign(vector[np.abs(vector).argmax()])
        shares[axis] = min(1.0, float(values[-1 - axis]) / total)
    return mean, axes, (shares[0], shares[1])


def spread(points: NDArray[np.float64], count: int) -> list[int]:
    """Return positions of up to `count` of (n, 2) points that lie far apart, the most central one first."""
    if not len(points):
        return []
    extent = np.ptp(points, axis=0)
    scaled = (points - points.mean(axis=0)) / np.where(extent > 0, extent, 1.0)
    chosen = [int((scaled**2).sum(axis=1).argmin())]
    closest = ((scaled - scaled[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < count and closest.max() > 0:
        chosen.append(int(closest.argmax()))
        closest = np.minimum(closest, ((scaled - scaled[chosen[-1]]) ** 2).sum(axis=1))
    return chosen


def _examples(
    names: Sequence[str], selected: Rows, shown: dict[str, Rows], points: dict[str, NDArray[np.float64]]
) -> tuple[Example, ...]:
    chosen = [("selected", position) for position in spread(points["selected"], EXAMPLES)]
    others = spread(points["input"], EXAMPLES)
    picked = set(selected.tolist())
    chosen += [("input", position) for position in others if int(shown["input"][position]) not in picked]
    return tuple(
        Example(
            sample=names[int(shown[name][position])],
            x=float(points[name][position, 0]),
            y=float(points[name][position, 1]),
            selected=name == "selected",
        )
        for name, position in chosen[:EXAMPLES]
    )


def _project(
    embeddings: Embeddings, rows: Rows, mean: NDArray[np.float64], axes: NDArray[np.float64]
) -> NDArray[np.float64]:
    return (embeddings[rows].astype(np.float64) - mean) @ axes


def _at_most(rows: Rows, rng: np.random.Generator) -> Rows:
    return rows if len(rows) <= MAX_POINTS else np.sort(rng.choice(rows, MAX_POINTS, replace=False))


def _pairs(points: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    return tuple((float(x), float(y)) for x, y in points)
