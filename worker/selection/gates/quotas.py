"""Quotas as one table of counts: what each candidate brings to every bounded value, and what cannot be met."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from worker.selection.rules import Quota

Rows = NDArray[np.int64]
Whole = NDArray[np.int64]


class QuotaConflict(ValueError):
    """Quotas that no selection meets.

    `quota` is the index of one that takes part, `label` the number of its value, or None when it is all its values
    together; `message` says what is asked and what there is, without naming either.
    """

    def __init__(self, quota: int, label: int | None, message: str) -> None:
        self.quota = quota
        self.label = label
        self.message = message
        place = f"quota {quota}" if label is None else f"quota {quota}, value {label}"
        super().__init__(f"{place}: {message}")


@dataclass(frozen=True, slots=True)
class UnitQuota:
    """A quota over units of several rows: (units, v) counts say how many rows of each value a unit holds."""

    counts: csr_array
    at_least: Whole
    at_most: Whole


@dataclass(frozen=True, slots=True)
class Table:
    """Every value of every quota that bounds something is a column.

    `counts` (m, v): rows of each column's value in each candidate. `quotas`, `labels` (v,): where a column comes from;
    columns of one quota are neighbours. `at_least`, `at_most` (v,). `step`: every candidate has so many rows, and all of
    them the same values; the bounds are multiples of it. 1 where candidates differ.
    """

    counts: csr_array
    quotas: Whole
    labels: Whole
    at_least: Whole
    at_most: Whole
    step: int


def table(quotas: Sequence[Quota | UnitQuota], candidates: Rows, n: int, *, sizes: Whole, rows: int) -> Table:
    """Return the bounded values of all quotas, for these (m,) candidates out of `rows`, with (m,) sizes.

    O(m) a quota, and about 24 bytes a candidate and quota.

    Raises:
        QuotaConflict: one quota alone cannot be met by n rows of these candidates.
        ValueError: shapes, types or numbers do not fit.
    """
    for at, quota in enumerate(quotas):
        _check(quota, at, rows)
    counts = [_counts(quota, candidates, sizes) for quota in quotas]
    step = _step(sizes, counts)
    parts = [
        _part(_in_steps(quota, step), at, of_quota, n, step)
        for at, (quota, of_quota) in enumerate(zip(quotas, counts, strict=True))
    ]
    none = np.empty(0, np.int64)
    empty = csr_array((len(candidates), 0), dtype=np.int64)
    return Table(
        counts=csr_array(hstack([part.counts for part in parts] or [empty], format="csr")),
        quotas=np.concatenate([none, *(part.quotas for part in parts)]),
        labels=np.concatenate([none, *(part.labels for part in parts)]),
        at_least=np.concatenate([none, *(part.at_least for part in parts)]),
        at_most=np.concatenate([none, *(part.at_most for part in parts)]),
        step=step,
    )


def profiles(counts: csr_array) -> Whole:
    """Return (m,) numbers that are equal where rows of the (m, v) counts are.

    Row by row entry: O(m log m) for each entry that the fullest row has.
    """
    entries = np.unique(counts.indices.astype(np.int64) * (int(counts.data.max(initial=0)) + 1) + counts.data,
                        return_inverse=True)[1]  # fmt: skip
    number = np.zeros(counts.shape[0], np.int64)
    lengths = np.diff(counts.indptr)
    for nth in range(int(lengths.max(initial=0))):
        longer = np.flatnonzero(lengths > nth)
        refined = number[longer] * (len(entries) + 1) + entries[counts.indptr[longer] + nth]
        number[longer] = number.max() + 1 + np.unique(refined, return_inverse=True)[1]
    return np.unique(number, return_inverse=True)[1]


def _step(sizes: Whole, counts: Sequence[csr_array]) -> int:
    """Return the size of all candidates, where each counts with all its rows for one value of a quota or for none."""
    step = int(sizes.max(initial=1))
    return step if all((brought == step).all() for brought in (sizes, *(one.data for one in counts))) else 1


def _in_steps(quota: Quota | UnitQuota, step: int) -> tuple[Whole, Whole]:
    """Return (v,) at_least, rounded up to multiples of a step, and at_most, rounded down."""
    return -(-quota.at_least.astype(np.int64) // step) * step, quota.at_most.astype(np.int64) // step * step


def _part(bounds: tuple[Whole, Whole], at: int, counts: csr_array, n: int, step: int) -> Table:
    at_least, at_most = bounds
    there = np.asarray(counts.sum(axis=0)).ravel()
    _check_possible(bounds, at, there, n, step)
    bounded = np.flatnonzero((at_least > 0) | (at_most < np.minimum(there, n)))
    return Table(
        counts=csr_array(counts[:, bounded]),
        quotas=np.full(len(bounded), at, np.int64),
        labels=bounded,
        at_least=at_least[bounded],
        at_most=at_most[bounded],
        step=step,
    )


def _counts(quota: Quota | UnitQuota, candidates: Rows, sizes: Whole) -> csr_array:
    """Return (m, v) counts of the candidates, entries of a row in the order of its values."""
    if isinstance(quota, UnitQuota):
        counts = csr_array(quota.counts[candidates], dtype=np.int64)
        counts.sum_duplicates()
        counts.eliminate_zeros()
        return counts
    labels = quota.labels[candidates]
    has = labels >= 0
    starts = np.concatenate([[0], np.cumsum(has)])
    return csr_array((sizes[has], labels[has], starts), shape=(len(candidates), len(quota.at_least)))


def _check(quota: Quota | UnitQuota, at: int, rows: int) -> None:
    values = len(quota.at_least)
    for name, bounds in (("at_least", quota.at_least), ("at_most", quota.at_most)):
        if bounds.shape != (values,) or bounds.dtype.kind not in "iu" or (bounds < 0).any():
            raise ValueError(
                f"quota {at}: {name} should be ({values},) whole numbers of 0 or more,"
                f" got {bounds.dtype} of shape {bounds.shape}"
            )
    if isinstance(quota, UnitQuota):
        if quota.counts.shape != (rows, values):
            raise ValueError(f"quota {at}: counts should be ({rows}, {values}), got {quota.counts.shape}")
        return
    labels = quota.labels
    if labels.shape != (rows,) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"quota {at}: labels should be ({rows},) whole numbers, got {labels.dtype} of shape {labels.shape}"
        )
    wrong = (labels < -1) | (labels >= values)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"quota {at}: row {row} has label {labels[row]}; choose from -1 to {values - 1}")


def _check_possible(bounds: tuple[Whole, Whole], at: int, there: Whole, n: int, step: int) -> None:
    at_least, at_most = bounds
    counted = f", counted in steps of {step}" if step > 1 else ""
    for wrong, limits, text in (
        (at_least > at_most, at_most, "at_least {} is above at_most {}"),
        (at_least > there, there, "at_least {}, but there are {} to pick from"),
    ):
        if wrong.any():
            label = int(wrong.argmax())
            raise QuotaConflict(at, label, text.format(at_least[label], limits[label]) + counted)
    asked = int(at_least.sum())
    if asked > n:
        raise QuotaConflict(
            at, None, f"at_least of all values adds up to {asked}, but {n} are to be picked{counted}"
        )
