"""Lower bounds of the covering radius: weights that no k balls around candidates can gather.

Give rows whole weights that add up to T. Where every ball of radius R around a candidate holds less than T / k, k of
them leave some row outside, so the best radius is R at least. Equal weights on k + 1 rows that are t apart give
T. F. Gonzalez' t / 2 (1985); other weights give more, as centres must be rows. The best ones are the optimum of a
zero-sum game between a row and a centre: the dual of the linear relaxation of set cover.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from worker.selection.covering.products import Embeddings, Rows, squared_products
from worker.selection.exact import squared_distances

Weights = NDArray[np.int64]
Table = NDArray[np.float32]

_SCALE = 2**20
_SLACK = 1e-12
_LOOK = 64
_ROUND = 10


@dataclass(frozen=True, slots=True)
class Packing:
    """(s,) rows of the pool and their (s,) whole positive weights."""

    rows: Rows
    weights: Weights


def best_packing(table: Table, rows: Rows, k: int, *, low: float, high: float, steps: int) -> Packing | None:
    """Return the packing found for the largest radius between low and high, if any.

    `table` (s, c) holds distances from the s `rows` to c centres, and only these centres are looked at. A step is one
    product of the table with a vector, and another with its transpose. Needs 4 bytes an entry more.
    """
    best: Packing | None = None
    used = 0
    while used < steps and high - low > (high + low) / 512:
        radius = (low + high) / 2
        inside = csr_array((table <= np.float32(radius)).astype(np.float32))
        weights, taken = _play(inside, k, min(steps - used, 100))
        used += taken
        if weights is None:
            high = radius
        else:
            low = radius
            best = Packing(rows[weights > 0], weights[weights > 0])
    return best


def proven_radius(
    embeddings: Embeddings, candidates: Rows, packing: Packing, k: int, *, device: str, memory_bytes: int
) -> float:
    """Return what the packing proves: no k of the candidates cover its rows with less than this radius.

    For a candidate c let R(c) be the smallest radius of a ball around c that holds T / k. The result is the least R(c)
    less 1e-12 of it: products with a proven error rule out most candidates, differences in float64 measure the rest.
    """
    total = int(packing.weights.sum())
    needed = -(-total // k)
    weights = packing.weights.astype(np.float64)
    least = math.inf
    for part, squares in squared_products(
        embeddings, candidates, packing.rows, device=device, memory_bytes=memory_bytes, at_most_true=True
    ):
        rows = candidates[part]
        while True:
            held = (squares < least * (1 - _SLACK)) @ weights
            suspects = np.flatnonzero(held >= needed)
            if not len(suspects):
                break
            look = suspects[np.argsort(-held[suspects], kind="stable")[:_LOOK]]
            for row in rows[look]:
                least = min(least, _reached(embeddings, int(row), packing, needed))
            squares[look] = math.inf
    return math.sqrt(least * (1 - _SLACK))


def _reached(embeddings: Embeddings, centre: int, packing: Packing, needed: int) -> float:
    """Return the square of the smallest radius around a row within which the weights add up to `needed`."""
    squares = squared_distances(embeddings[packing.rows], embeddings[centre : centre + 1])
    order = np.argsort(squares)
    return float(squares[order][np.searchsorted(np.cumsum(packing.weights[order]), needed)])


def _play(inside: csr_array, k: int, most: int) -> tuple[Weights | None, int]:
    """Return whole (s,) weights of which no centre holds 1 / k or more, and the steps taken; None if none is found.

    Both players follow the exponential weights of their last payoffs, counting the latest twice (A. Rakhlin and
    K. Sridharan, Optimization, learning, and games with predictable sequences, 2013), so that averages converge like
    one over the steps. Payoffs are about 1 / k, hence the rate k / 2.
    """
    rows, centres = inside.shape
    from_rows, from_centres = inside.T, inside
    row_payoff, row_latest, row_sum = (np.zeros(rows, np.float32) for _ in range(3))
    centre_payoff, centre_sum = (np.zeros(centres, np.float32) for _ in range(2))
    for step in range(1, most + 1):
        y = _softmax((row_payoff + row_latest) * np.float32(-k / 2))
        held = from_rows @ y
        centre_payoff += held
        x = _softmax((centre_payoff + held) * np.float32(k / 2))
        row_latest = from_centres @ x
        row_payoff += row_latest
        row_sum += y
        centre_sum += x
        if held.max() * k < 1:
            return _whole(y), step
        if step % _ROUND == 0:
            if (from_rows @ row_sum).max() * k < step:
                return _whole(row_sum), step
            if (from_centres @ centre_sum).min() * k >= step:
                return None, step  # k centres, taken in parts, reach every row: no weights can do it
    return None, most


def _whole(shares: NDArray[np.float32]) -> Weights:
    return np.rint(shares / shares.max() * _SCALE).astype(np.int64)


def _softmax(values: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(values - values.max())
    return powers / powers.sum()
