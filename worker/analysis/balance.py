"""What a target distribution asked for, what could be reached from the input, what was reached, and why not more."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from worker.analysis.distances import Rows, Values
from worker.analysis.goals import Goal
from worker.facts import BalanceClass, BalanceFacts, UnmetReason
from worker.selection.terms import Balance

RELATIVE_TOLERANCE = 0.05
"""A share that is within 5 % of the requested one counts as met."""

UNWANTED_TOLERANCE = 0.005
"""For a requested share of 0: up to half a percent of the selection."""

_STEPS = 100
_ABSENT = 1e-10


def outlook(
    classes: Sequence[str],
    counts: NDArray[np.int64],
    target: Values,
    n: int,
    *,
    already: Values | None = None,
) -> tuple[BalanceClass, ...]:
    """Say before any selection how near n picks can come to a target, from class counts alone.

    `counts` (c,) candidates of each class, each of exactly one class; `target` (c,) shares that add up to 1; `already`
    (c,) samples kept before, which count. Achieved shares are not known yet: None.
    """
    kept = np.zeros(len(counts)) if already is None else already
    best = shares_of(kept + fill(counts, target, n, already=already))
    total = float(kept.sum()) + min(n, int(counts.sum()))
    return tuple(
        BalanceClass(
            name=name,
            requested=float(requested),
            achieved=None,
            achievable=float(possible),
            candidates=float(count),
            reasons=_reasons(float(requested), None, float(possible), total),
        )
        for name, requested, possible, count in zip(classes, target, best, counts, strict=True)
    )


def balance_facts(
    goal: Goal, term: Balance, *, selected: Rows, candidates: Rows, before: Rows, length: int = 1
) -> BalanceFacts:
    """Set requested, achieved and achievable shares of one balance strategy beside each other.

    Picks come in sequences of `length`. Where every sample is of one class, achievable is the best for all classes at once, by `fill`. Otherwise (shares
    that are probabilities or counts of objects) it is the nearest that the class could come by itself, whatever
    happens to the others: a bound.
    """
    picked, open_, kept = (term.shares[rows] for rows in (selected, candidates, before))
    sums = picked.sum(axis=0) + kept.sum(axis=0)
    achieved = shares_of(sums)
    whole = one_class_each(open_)
    if whole:
        counts = open_.sum(axis=0).astype(np.int64) // length
        already = kept.sum(axis=0) / length
        filled = fill(counts, term.target, len(selected) // length, already=already)
        achievable = shares_of(already + filled)
    else:
        achievable = _each_alone(open_, term.target, achieved, len(selected), kept.sum(axis=0))
    total = float(sums.sum()) / length
    return BalanceFacts(
        strategy=goal.name,
        joint=whole,
        picks=len(selected),
        misplaced=misplaced(achieved, term.target),
        misplaced_at_best=misplaced(achievable, term.target) if whole else None,
        classes=tuple(
            BalanceClass(
                name=name,
                requested=float(term.target[c]),
                achieved=float(achieved[c]),
                achievable=float(achievable[c]),
                candidates=float(open_[:, c].sum()),
                reasons=_reasons(float(term.target[c]), float(achieved[c]), float(achievable[c]), total),
            )
            for c, name in enumerate(goal.classes)
        ),
    )


def fill(
    counts: NDArray[np.int64], target: Values, n: int, *, already: Values | None = None
) -> NDArray[np.int64]:
    """Return the (c,) whole numbers of picks, n together, that come nearest to a target from (c,) available.

    Nearest means the lowest cross-entropy, -sum of target * ln(share + 1e-10), as in the selection; exact. Its optimum in
    real numbers is water-filling: each class gets level * target - already, cut to 0 and to what there is, with one
    level for all. Whole numbers start below that and take the samples that lower it most, one by one.
    Picks that no wanted class can take go to the others, in proportion to what they have.
    """
    kept = np.zeros(len(counts)) if already is None else already
    wanted = np.where(target > 0, counts, 0)
    total = min(n, int(counts.sum()))
    first = min(total, int(wanted.sum()))
    # Two a class below the level, every sample that it covers is among the best n.
    level = _level(wanted, target, first - 2 * len(counts), kept)
    filled = np.floor(np.clip(level * target - kept, 0, wanted)).astype(np.int64)
    shares = (kept + filled) / (kept.sum() + total) if total else kept
    step = 1 / (kept.sum() + total) if total else 0.0
    for _ in range(first - int(filled.sum())):
        gains = target * (np.log(shares + step + _ABSENT) - np.log(shares + _ABSENT))
        best = int(np.where(filled < wanted, gains, -np.inf).argmax())
        filled[best] += 1
        shares[best] += step
    left, others = total - first, counts - wanted
    return filled + _rounded(np.asarray(others * (left / max(1, int(others.sum())))), left, others)


def misplaced(shares: Values, target: Values) -> float:
    """Return the total variation distance of two (c,) distributions: the share of samples in a class too many.

    0 is the target itself, 1 is nothing in common.
    """
    return min(1.0, float(np.abs(shares - target).sum()) / 2)


def shares_of(sums: Values) -> Values:
    """Return (..., c) sums as shares that add up to 1; zeros where nothing is counted."""
    total = sums.sum(axis=-1, keepdims=True)
    shares: Values = np.divide(sums, total, out=np.zeros_like(sums, np.float64), where=total > 0)
    return shares


def is_met(requested: float, achieved: float) -> bool:
    """Return whether a share counts as reached: within 5 % of the requested one; half a percent for a request of 0."""
    return abs(achieved - requested) <= (RELATIVE_TOLERANCE * requested if requested else UNWANTED_TOLERANCE)


def one_class_each(shares: Values) -> bool:
    """Return whether every row of (n, c) shares is one class, or none at all."""
    return bool((((shares == 0) | (shares == 1)).all(axis=1) & (shares.sum(axis=1) <= 1)).all())


def _reasons(
    requested: float, achieved: float | None, achievable: float, total: float
) -> tuple[UnmetReason, ...]:
    """Return why a share is off: what the input cannot give, what was given up for the rest, or whole samples.

    A difference is one only from a whole sample on. None for `achieved` asks what will be in the way at least.
    """
    found = achievable if achieved is None else achieved
    if is_met(requested, found):
        return ()
    sample = (1 - 1e-9) / total if total else np.inf
    side = 1 if found > requested else -1
    # What the input forces is the way from requested to achievable, if that leads where the share went.
    forced = max(0.0, side * (achievable - requested))
    given_up = side * (found - requested) - forced
    reasons: list[UnmetReason] = []
    if forced >= sample:
        reasons.append("impossible")
    if given_up >= sample:
        reasons.append("trade_off")
    return tuple(reasons) or ("too_few_samples",)


def _level(wanted: NDArray[np.int64], target: Values, picks: int, kept: Values) -> float:
    """Return the highest level at which water-filling takes no more than a number of picks; 0 for none."""
    low, high = 0.0, float(((kept + wanted) / np.where(target > 0, target, np.inf)).max(initial=0.0))
    for _ in range(_STEPS if picks > 0 else 0):
        middle = (low + high) / 2
        if np.clip(middle * target - kept, 0, wanted).sum() <= picks:
            low = middle
        else:
            high = middle
    return low


def _rounded(amounts: Values, total: int, most: NDArray[np.int64]) -> NDArray[np.int64]:
    whole = np.minimum(np.floor(amounts + 1e-9).astype(np.int64), most)
    for _ in range(len(amounts)):
        missing = total - int(whole.sum())
        if missing <= 0:
            break
        room = np.flatnonzero(whole < most)
        order = room[np.argsort(whole[room] - amounts[room], kind="stable")]
        whole[order[:missing]] += 1
    return whole


def _each_alone(shares: Values, target: Values, achieved: Values, n: int, kept: Values) -> Values:
    """Return for each class the share nearest to its target that some n of the (m, c) candidates have."""
    best = target.copy()
    for c in range(len(target)):
        if is_met(float(target[c]), float(achieved[c])):
            continue
        sign = 1 if target[c] > achieved[c] else -1
        limit = _extreme(shares, c, n, kept, sign=sign)
        best[c] = min(target[c], limit) if sign > 0 else max(target[c], limit)
    return best


def _extreme(shares: Values, c: int, n: int, kept: Values, *, sign: int) -> float:
    """Return the largest (sign 1) or smallest (-1) share of class c in any n of the rows joined with what is kept.

    A ratio of two sums: take the n rows that are best at the present ratio, and repeat with theirs until it stays
    (W. Dinkelbach, On nonlinear fractional programming, 1967).
    """
    own, mass = shares[:, c], shares.sum(axis=1)
    n = min(n, len(own))
    ratio = 0.0 if sign > 0 else 1.0
    for _ in range(_STEPS):
        order = np.argsort(-sign * (own - ratio * mass), kind="stable")[:n]
        total = float(kept.sum() + mass[order].sum())
        found = float(kept[c] + own[order].sum()) / total if total > 0 else ratio
        if sign * (found - ratio) <= 1e-12:
            break
        ratio = found
    return min(1.0, max(0.0, ratio))
