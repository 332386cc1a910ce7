"""One strategy while the selection grew: what each pick did for it, beside candidates that were open then."""

from dataclasses import dataclass, replace

import numpy as np

from worker.analysis.distances import Embeddings, Rows, Values
from worker.analysis.goals import Goal
from worker.analysis.growth import Growth
from worker.selection.exact import squared_distances
from worker.selection.gain import gain_of
from worker.selection.objectives import SMALLEST, objective_of
from worker.selection.pool import Pool
from worker.selection.terms import Balance, Diversity, Mode, Objects, Term, Weights

_BLOCK_PICKS = 64


@dataclass(frozen=True, slots=True)
class Effort:
    """The objective of one strategy without and with each pick, and the pick's lead: (k,) each; NaN for no lead."""

    goal: Goal
    before: Values
    after: Values
    lead: Values


@dataclass(frozen=True, slots=True)
class Compared:
    """(m,) candidates that the picks are compared with, and when each was picked itself, k for never."""

    rows: Rows
    taken_at: Rows


def replay(
    goal: Goal,
    embeddings: Embeddings,
    selected: Rows,
    *,
    already: Rows,
    growth: Growth,
    compared: Compared,
    mode: Mode,
    asked: int,
) -> Effort:
    """Return what (k,) selected rows did for one strategy, `already` rows being kept before.

    The lead is strength x (ln v(pick) - mean over the open ones of ln v), where v is what the mode multiplies: the
    objective with the row added, or the row's own gain. Before a strategy has anything to say its leads are NaN.
    """
    match goal.term:
        case Diversity(objects=None):
            before, after = growth.before, growth.after
            lead = _diverse_lead(embeddings, selected, already, growth=growth, compared=compared, mode=mode)
        case _:
            before, after, lead = _step_by_step(
                goal.term, embeddings, selected, already, compared=compared, mode=mode, asked=asked
            )
    return Effort(goal, before, after, goal.term.strength * lead)


def _diverse_lead(
    embeddings: Embeddings,
    selected: Rows,
    already: Rows,
    *,
    growth: Growth,
    compared: Compared,
    mode: Mode,
) -> Values:
    """Return (k,) leads of a strength of 1, many picks at a time."""
    lead = np.full(len(selected), np.nan)
    if not len(compared.rows):
        return lead
    others = embeddings[compared.rows]
    nearest = np.full(len(others), np.inf)
    for row in already.tolist():
        np.minimum(nearest, squared_distances(others, embeddings[row : row + 1]), out=nearest)
    for start in range(0, len(selected), _BLOCK_PICKS):
        steps = np.arange(start, min(start + _BLOCK_PICKS, len(selected)))
        squares = np.stack([squared_distances(others, embeddings[row : row + 1]) for row in selected[steps]])
        until = np.minimum.accumulate(np.vstack([nearest, squares]))
        nearest = until[-1]
        base = growth.before[steps] if mode == "objective_product" else np.zeros(len(steps))
        own = base + growth.inserted[steps] ** 2
        worth = np.concatenate([own[:, None], base[:, None] + until[:-1]], axis=1)
        if mode == "gain_product":
            worth = np.sqrt(worth)
        for step, values in zip(steps.tolist(), worth, strict=True):
            lead[step] = _lead(values[0], values[1:][compared.taken_at > step])
    return lead


def _step_by_step(
    term: Term,
    embeddings: Embeddings,
    selected: Rows,
    already: Rows,
    *,
    compared: Compared,
    mode: Mode,
    asked: int,
) -> tuple[Values, Values, Values]:
    """Replay with the objective itself, on a pool of the rows that matter."""
    rows, places = np.unique(np.concatenate([selected, already, compared.rows]), return_inverse=True)
    picks, kept, others = np.split(places, [len(selected), len(selected) + len(already)])
    pool = Pool(embeddings[rows], np.ones(len(rows), np.bool_))
    own = _only(term, rows, len(embeddings))
    objective = objective_of(own, pool, n=asked, preselected=kept)
    gain = gain_of(own, pool, n=asked, preselected=kept) if mode == "gain_product" else None
    reached, lead = np.empty(len(selected) + 1), np.full(len(selected), np.nan)
    reached[0] = objective.value()
    for step, pick in enumerate(picks.tolist()):
        values = (gain or objective).values() if len(others) else None
        if values is not None:
            lead[step] = _lead(values[pick], values[others[compared.taken_at > step]])
        objective.add(pick)
        reached[step + 1] = objective.value()
        if gain is not None:
            gain.add(pick)
    return reached[:-1], reached[1:], lead


def _lead(own: float, others: Values) -> float:
    """Return ln of one value less the mean ln of others; NaN without others, or while nothing is near or far."""
    if not len(others) or not np.isfinite(own):
        return float("nan")
    known = others[np.isfinite(others)]
    if not len(known):
        return float("nan")
    return float(np.log(max(own, SMALLEST)) - np.log(np.maximum(known, SMALLEST)).mean())


def _only(term: Term, rows: Rows, pool_rows: int) -> Term:
    """Return the term for the ascending rows of a pool alone."""
    match term:
        case Weights():
            return replace(term, values=term.values[rows])
        case Balance():
            return replace(term, shares=term.shares[rows])
        case Diversity(objects=Objects(embeddings=vectors, owners=owners)):
            place = np.full(pool_rows, -1, np.int64)
            place[rows] = np.arange(len(rows))
            owned = place[owners] >= 0
            return replace(term, objects=Objects(vectors[owned], place[owners[owned]]))
        case _:
            return term
