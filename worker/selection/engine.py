"""Selects rows of a pool: greedily, by what the mode maximises and the rules allow, the quickest way that is exact."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast, get_args

import numpy as np
from numpy.typing import NDArray

from worker.device import Device
from worker.selection.checks import check
from worker.selection.farthest import farthest_first
from worker.selection.gates.apart import Apart, Spans
from worker.selection.gates.gate import Gate
from worker.selection.gates.quotas import UnitQuota
from worker.selection.greedy import Ended, Picks, greedy, is_below
from worker.selection.objectives import Rows
from worker.selection.pool import Pool
from worker.selection.product import is_lazy, product
from worker.selection.protected import too_near
from worker.selection.rules import Quota, Rules
from worker.selection.submodular import maximise
from worker.selection.terms import Diversity, Mode, Term, Weights
from worker.selection.units import Units, spans_of_rows, spans_of_units, units

_NO_RULES = Rules()

_SLACK = 1e-6
"""Of a gap: so much less than the least counts as it, since places such as seconds are rounded numbers."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows in pick order. `insertion_distances` (k,) exist for diversity alone, without groups and windows: see `Traversal`.

    `ended` says why fewer rows than asked for were picked although candidates were left.
    """

    rows: Rows
    insertion_distances: NDArray[np.float64] | None = None
    ended: Ended | None = None


def select(
    pool: Pool,
    terms: Sequence[Term],
    n: int,
    *,
    device: Device,
    preselected: Rows | None = None,
    rules: Rules = _NO_RULES,
    mode: Mode = "objective_product",
    tile_bytes: int = 2**23,
) -> Selection:
    """Pick n candidates (all, if there are fewer), each the best for what is selected before it.

    Diversity alone with a positive strength is an exact farthest-first traversal on the device. One weights term
    alone is a sort. Diversity with a positive strength beside weights and balance is looked up ahead, see `product`.
    Every other mix is a plain greedy pass on the CPU, see `greedy`. The lowest row wins ties.

    Args:
        pool: embeddings and the rows that may be picked.
        terms: at least one; without any, use `draw`.
        n: at least 1.
        device: where the matrix products run.
        preselected: rows of the pool that count as selected before the first pick; they are never picked.
        rules: what the selection must keep to. A group or a window is picked as one unit, in row order.
        mode: the product of the whole selection's objectives, or of each candidate's gains, or a submodular sum.
        tile_bytes: working memory of distances; never changes the result.

    Raises:
        ValueError: no term, n below 1, or terms, rules and pool that do not fit each other.
        QuotaConflict: no selection of at most n candidates keeps to the quotas.
    """
    if n < 1:
        raise ValueError(f"n should be at least 1, got {n}")
    if mode not in get_args(Mode):
        raise ValueError(f"mode should be one of {', '.join(get_args(Mode))}, got {mode}")
    check(terms, pool)
    started = np.empty(0, np.int64) if preselected is None else preselected
    open_ = pool.candidates.copy()
    open_[started] = False
    if rules.protected is not None:
        open_[too_near(pool.embeddings, np.flatnonzero(open_), rules.protected, device=device)] = False
    free = Pool(pool.embeddings, open_)
    if rules.groups is None and rules.windows is None:
        rows = np.flatnonzero(open_)
        task = _Task(free, terms, n, started, rules.quotas, None, _apart(rules, rows), len(rows))
        return _picked(task, mode, device, tile_bytes)
    joined = units(free, terms, rules, started)
    task = _Task(
        joined.pool,
        joined.terms,
        n,
        joined.preselected,
        joined.quotas,
        joined.sizes,
        _apart_units(rules, joined),
        joined.layout.distinct_rows(np.flatnonzero(joined.pool.candidates)),
    )
    found = _picked(task, mode, device, tile_bytes)
    return Selection(joined.expand(found.rows), ended=found.ended)


def covering_radius(pool: Pool, selected: Rows, *, device: Device, tile_bytes: int = 2**23) -> float:
    """Return the largest distance from any row of the pool, candidate or not, to its nearest selected row; exact.

    Raises:
        ValueError: nothing is selected.
    """
    if not len(selected):
        raise ValueError("selected: a covering radius needs at least one row")
    others = np.ones(len(pool), np.bool_)
    others[selected] = False
    if not others.any():
        return 0.0
    farthest = farthest_first(
        pool.embeddings,
        1,
        candidates=np.flatnonzero(others),
        preselected=selected,
        device=device.torch_name,
        tile_bytes=tile_bytes,
    )
    return float(farthest.distances[0])


@dataclass(frozen=True, slots=True)
class _Task:
    """What is picked from: rows, or units of `sizes` rows, `rows` in all. The pool's candidates are not preselected."""

    pool: Pool
    terms: Sequence[Term]
    n: int
    preselected: Rows
    quotas: Sequence[Quota | UnitQuota]
    sizes: NDArray[np.int64] | None
    apart: Sequence[Apart]
    rows: int


def _apart(rules: Rules, candidates: Rows) -> tuple[Apart, ...]:
    gap = rules.gap
    return () if gap is None else (Apart(spans_of_rows(candidates, gap), gap.least - _SLACK),)


def _apart_units(rules: Rules, joined: Units) -> tuple[Apart, ...]:
    found = []
    if rules.gap is not None:
        spans = spans_of_units(joined, rules.gap, are_windows=rules.windows is not None)
        found.append(Apart(spans, rules.gap.least - _SLACK))
    if rules.windows is not None and (np.diff(rules.windows.starts) < rules.windows.length).any():
        candidates = np.flatnonzero(joined.pool.candidates)
        first = joined.layout.starts[candidates].astype(np.float64)
        line = np.zeros(len(candidates), np.int64)
        found.append(Apart(Spans(candidates, line, first, first + rules.windows.length - 1), 1.0))
    return tuple(found)


def _picked(task: _Task, mode: Mode, device: Device, tile_bytes: int) -> Selection:
    pool, terms, n, preselected = task.pool, task.terms, task.n, task.preselected
    candidates = np.flatnonzero(pool.candidates)
    gate = Gate(
        candidates,
        n,
        sizes=task.sizes,
        quotas=task.quotas,
        sums=[
            (t.values, t.stop_at_sum) for t in terms if isinstance(t, Weights) and t.stop_at_sum is not None
        ],
        apart=task.apart,
        preselected=preselected,
        rows=len(pool),
    )
    if not len(candidates):
        return Selection(candidates)
    smallest = 1 if task.sizes is None else int(task.sizes[candidates].min())
    match terms:
        case _ if mode == "submodular":
            most = max(1, n // smallest)
            best = maximise(pool, terms, most, device=device, preselected=preselected, gate=gate)
            return Selection(best.rows, ended=best.ended)
        case [Diversity(strength=strength, objects=None, minimum_distance=apart)] if strength > 0:
            far = farthest_first(
                pool.embeddings,
                n,
                candidates=candidates,
                preselected=preselected,
                gate=gate,
                minimum_distance=apart,
                device=device.torch_name,
                tile_bytes=tile_bytes,
            )
            return Selection(far.rows, far.distances, cast(Ended | None, far.ended))
        case [Weights(target=None) as weights] if weights.strength != 0:
            found = _sorted(weights, candidates, gate)
        case _ if is_lazy(terms):
            found = product(
                pool,
                terms,
                candidates=candidates,
                preselected=preselected,
                gate=gate,
                mode=mode,
                device=device.torch_name,
                tile_bytes=tile_bytes,
            )
        case _:
            found = greedy(
                pool,
                terms,
                min(n, task.rows),
                candidates=candidates,
                preselected=preselected,
                gate=gate,
                mode=mode,
                sizes=task.sizes,
            )
    return Selection(np.array(found.rows, np.int64), ended=found.ended)


def _sorted(weights: Weights, candidates: Rows, gate: Gate) -> Picks:
    """Pick from the largest weight to the smallest, or the other way with a negative strength."""
    own = weights.values[candidates]
    order = candidates[np.argsort(-own if weights.strength > 0 else own, kind="stable")]
    open_ = np.ones(len(weights.values), np.bool_)
    open_[gate.start()] = False
    picks: list[int] = []
    for row in order.tolist():
        if gate.done:
            break
        if not open_[row]:
            continue
        if is_below(weights, row):
            return Picks(picks, "minimum_typicality")
        picks.append(row)
        open_[gate.picked(row)] = False
    return Picks(picks, gate.ended)
