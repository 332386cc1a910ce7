"""What smaller budgets would have given: the first n picks of one selection, beside the first n of random draws."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.analysis.balance import misplaced, shares_of
from worker.analysis.baseline import Draws
from worker.analysis.distances import Embeddings, Rows, Values
from worker.analysis.goals import Goal
from worker.analysis.prefixes import Budgets, Prefixes
from worker.device import Device
from worker.facts import BudgetCurve, BudgetSeries, SeriesName
from worker.selection.terms import Balance, Weights

STAGE = 104
MAX_PAIRS = 300_000_000
MAX_MEASURED = 5_000
MIN_MEASURED = 1_000
MAX_BUDGETS = 60
_RADII_PERCENTILES = (50, 90)
_HIGHER_IS_BETTER = {"covered_share", "diversity_min", "diversity_mean", "weights_sum"}


@dataclass(frozen=True, slots=True)
class _Key:
    """Which number a series holds."""

    name: SeriesName
    strategy: str | None = None
    radius: float | None = None


_Numbers = dict[_Key, Values]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is measured of every list of rows: at which budgets, diversity of which places, which radii and goals."""

    budgets: Budgets
    places: Rows
    radii: tuple[float, ...]
    goals: Sequence[Goal]
    before: Rows


def budget_curve(
    embeddings: Embeddings,
    *,
    selected: Rows,
    goals: Sequence[Goal],
    draws: Draws,
    before: Rows,
    input_rows: int,
    seed: int,
    device: Device,
) -> BudgetCurve | None:
    """Return the curve of (k,) selected rows in pick order, or None where there is nothing to compare.

    All numbers are about the first n picks joined with the (p,) rows kept before; the draws' rows come in the order in
    which they were drawn. Coverage is measured on the rows on which the draws were measured, or on a seeded part of
    them: at most MAX_MEASURED, and MAX_PAIRS distances for all draws together, but MIN_MEASURED at least. Diversity
    likewise on a seeded part of the picks.
    """
    if not len(selected) or not draws.rows:
        return None
    rng = np.random.Generator(np.random.PCG64([seed, STAGE]))
    affordable = max(MIN_MEASURED, MAX_PAIRS // (len(selected) * len(draws.rows)))
    measured = _sample(draws.measured, min(MAX_MEASURED, affordable), rng)
    places = _sample(np.arange(len(selected)), affordable, rng)
    prefixes = Prefixes(embeddings, measured=measured, before=before, device=device)
    budgets = spaced(len(selected))
    radii = _radii(prefixes.coverage(selected, budgets[-1:])[0])
    asked = _Asked(budgets, places, radii, goals, before)
    found = _numbers(prefixes, selected, asked)
    drawn = [_numbers(prefixes, rows, asked) for rows in draws.rows]
    mean = found[_Key("coverage_mean")]
    return BudgetCurve(
        budgets=tuple(budgets.tolist()),
        draws=len(drawn),
        measured_rows=len(measured),
        input_rows=input_rows,
        measured_picks=len(places),
        like_random=_like_random(_Key("coverage_mean"), budgets, found, drawn),
        like_random_largest=_like_random(_Key("coverage_max"), budgets, found, drawn),
        mostly_covered=_first(budgets, mean <= mean[0] - 0.9 * (mean[0] - mean[-1])),
        series=tuple(_series(key, values, [one[key] for one in drawn]) for key, values in found.items()),
    )


def spaced(picks: int) -> Budgets:
    """Return at most MAX_BUDGETS numbers of picks up to all of them: each, or half of them dense at the start."""
    if picks <= MAX_BUDGETS:
        return np.arange(1, picks + 1)
    half = MAX_BUDGETS // 2
    both = np.concatenate([np.geomspace(1, picks, half), np.linspace(1, picks, half)])
    return np.unique(both.round().astype(np.int64))


def _numbers(prefixes: Prefixes, rows: Rows, asked: _Asked) -> _Numbers:
    covered = prefixes.coverage(rows, asked.budgets)
    inside = prefixes.diversity(rows, asked.budgets, asked.places)
    found: _Numbers = {
        _Key("coverage_mean"): covered.mean(axis=1),
        _Key("coverage_p95"): np.percentile(covered, 95, axis=1),
        _Key("coverage_max"): covered.max(axis=1),
    }
    for radius in asked.radii:
        found[_Key("covered_share", radius=radius)] = (covered <= radius).mean(axis=1)
    known = ~np.isnan(inside)
    number = known.sum(axis=1)
    found[_Key("diversity_mean")] = _where(
        number, np.where(known, inside, 0).sum(axis=1) / np.maximum(number, 1)
    )
    found[_Key("diversity_min")] = _where(number, np.where(known, inside, np.inf).min(axis=1, initial=np.inf))
    for goal in asked.goals:
        match goal.term:
            case Balance(shares=shares, target=target):
                sums = shares[asked.before].sum(axis=0) + _prefix_sums(shares[rows], asked.budgets)
                off = [misplaced(one, target) for one in shares_of(sums)]
                found[_Key("misplaced_share", strategy=goal.name)] = np.array(off)
            case Weights(values=values):
                sums = values[asked.before].sum() + _prefix_sums(values[rows], asked.budgets)
                found[_Key("weights_sum", strategy=goal.name)] = sums
            case _:
                pass
    return found


def _prefix_sums(values: Values, budgets: Budgets) -> Values:
    """Return (b, ...) sums of the first n of (k, ...) values."""
    starts = np.concatenate([[0], budgets[:-1]])
    sums: Values = np.cumsum(np.add.reduceat(values, starts, axis=0), axis=0)
    return sums


def _series(key: _Key, selected: Values, drawn: Sequence[Values]) -> BudgetSeries:
    stacked = np.stack(drawn)
    low, high = np.percentile(stacked, (2.5, 97.5), axis=0)
    return BudgetSeries(
        name=key.name,
        strategy=key.strategy,
        radius=key.radius,
        higher_is_better=key.name in _HIGHER_IS_BETTER,
        selected=_listed(selected),
        random_mean=_listed(stacked.mean(axis=0)),
        random_low=_listed(low),
        random_high=_listed(high),
    )


def _radii(covered: Values) -> tuple[float, ...]:
    """Return two radii that all picks reach for half and for most of the input, as round numbers."""
    rounded = (float(f"{radius:.2g}") for radius in np.percentile(covered, _RADII_PERCENTILES))
    return tuple(sorted({radius for radius in rounded if radius > 0}))


def _like_random(key: _Key, budgets: Budgets, found: _Numbers, drawn: Sequence[_Numbers]) -> int | None:
    return _first(budgets, found[key] <= float(np.mean([one[key][-1] for one in drawn])))


def _first(budgets: Budgets, reached: NDArray[np.bool_]) -> int | None:
    return int(budgets[reached.argmax()]) if reached.any() else None


def _where(known: Values, values: Values) -> Values:
    return np.where(known > 0, values, np.nan)


def _listed(values: Values) -> tuple[float | None, ...]:
    return tuple(None if np.isnan(value) else float(value) for value in values)


def _sample(rows: Rows, size: int, rng: np.random.Generator) -> Rows:
    return rows if len(rows) <= size else np.sort(rng.choice(rows, size, replace=False))
