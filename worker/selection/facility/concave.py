"""The simple terms of the submodular sum: a sum of weights, and shares of classes under a square root.

W(S) is the sum of the weights of S. B(S) = sum over classes k of sqrt(t_k * m_k(S)), where t_k is the target and
m_k(S) the sum over S of the shares of class k.

B is monotone and submodular: m_k is a sum over S of numbers that are not negative, so it grows with S, and sqrt
grows with m_k. And for x >= 0 the increase sqrt(m + x) - sqrt(m) = x / (sqrt(m + x) + sqrt(m)) falls with m, so a
row adds less to a larger S.
"""

import numpy as np
from numpy.typing import NDArray

from worker.selection.terms import Values

Rows = NDArray[np.int64]

_CHUNK_VALUES = 2**18


class Additive:
    """W: every candidate adds its own weight, whatever is selected."""

    def __init__(self, values: Values) -> None:
        self.bounds = values
        self.exact = np.ones(len(values), np.bool_)

    def refresh(self, positions: Rows) -> None:
        """Nothing changes."""

    def add(self, position: int) -> None:
        """Nothing changes."""


class Concave:
    """B: what it adds is computed anew for every candidate after each pick."""

    def __init__(self, shares: Values, target: Values, have: Values) -> None:
        self._shares = shares
        self._target = target
        self._have = have
        self.bounds = np.empty(len(shares))
        self.exact = np.ones(len(shares), np.bool_)
        self._update()

    def most(self, n: int) -> float:
        """Return B*."""
        rows = np.sort(self._shares.sum(axis=1))[-n:].sum()
        return float(np.sqrt(self._have.sum() + rows) - np.sqrt(self._target * self._have).sum())

    def refresh(self, positions: Rows) -> None:
        """Always exact."""

    def add(self, position: int) -> None:
        """One look at all shares."""
        self._have = self._have + self._shares[position]
        self._update()

    def _update(self) -> None:
        roots, target = np.sqrt(self._have), np.sqrt(self._target)
        step = max(1, _CHUNK_VALUES // max(1, len(target)))
        for start in range(0, len(self._shares), step):
            shares = self._shares[start : start + step]
            both = np.sqrt(self._have + shares) + roots
            more = np.divide(shares, both, out=np.zeros_like(both), where=both > 0)
            self.bounds[start : start + step] = more @ target
