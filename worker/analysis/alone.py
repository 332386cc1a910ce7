"""What each strategy gave up for the others: its objective beside that of a selection made by it alone."""

import numpy as np
from numpy.typing import NDArray

from worker.analysis.balance import fill, one_class_each
from worker.analysis.distances import Embeddings, Rows
from worker.analysis.explain import Explanation
from worker.analysis.growth import grow
from worker.analysis.replays import Effort
from worker.device import Device
from worker.facts import Outcome
from worker.selection.engine import select
from worker.selection.objectives import BalanceObjective
from worker.selection.pool import Pool
from worker.selection.terms import Balance, Diversity, Objects, Term, Weights

MAX_PRODUCTS = 40_000_000_000
"""Multiplications that a selection by diversity alone may take: rows x picks x dimensions."""

Alone = tuple[float | None, str | None]


def outcomes(
    embeddings: Embeddings,
    found: Explanation,
    *,
    candidates: NDArray[np.bool_],
    before: Rows,
    length: int = 1,
    device: Device,
) -> tuple[Outcome, ...]:
    """Return one outcome a strategy; a single strategy without a rival is compared with nothing.

    Only selections that are cheap are made: the largest weights, the classes filled up to a target, and farthest-first
    up to MAX_PRODUCTS. They take as many candidates and know no quotas, gaps, groups, stops or other strategies. They
    would not take whole sequences, so with those, of more than one sample in `length`, none is made.
    """
    open_ = candidates.copy()
    open_[before] = False
    return tuple(
        _outcome(
            effort,
            found.decided(place),
            _alone(
                embeddings,
                effort,
                rivals=len(found.efforts) - 1,
                open_=open_,
                before=before,
                length=length,
                device=device,
            ),
        )
        for place, effort in enumerate(found.efforts)
    )


def _outcome(effort: Effort, decided: int | None, alone: Alone) -> Outcome:
    strength = effort.goal.term.strength
    reached = float(effort.after[-1]) if len(effort.after) else None
    best, reason = alone
    over, under = (reached, best) if strength > 0 else (best, reached)
    return Outcome(
        strategy=effort.goal.name,
        strength=strength,
        objective=reached,
        alone=best,
        share_of_alone=over / under if over is not None and under else None,
        not_compared=reason,
        decided=decided,
    )


def _alone(
    embeddings: Embeddings,
    effort: Effort,
    *,
    rivals: int,
    open_: NDArray[np.bool_],
    before: Rows,
    length: int,
    device: Device,
) -> Alone:
    term, picks = effort.goal.term, len(effort.after)
    reason = _not_compared(term, embeddings, rivals=rivals, picks=picks, length=length)
    if reason is not None:
        return None, reason
    match term:
        case Weights(values=values):
            return _best_sum(term, open_, picks) + float(values[before].sum()), None
        case Balance():
            return _filled(term, open_, picks, before), None
        case Diversity():
            pool = Pool(embeddings, open_)
            rows = select(pool, [Diversity()], picks, device=device, preselected=before).rows
            return float(grow(embeddings, rows, before=before, device=device).after[-1]), None


def _not_compared(term: Term, embeddings: Embeddings, *, rivals: int, picks: int, length: int) -> str | None:
    products = len(embeddings) * picks * embeddings.shape[1]
    own = "has no cheap selection of its own"
    reasons = (
        (not picks, "nothing was selected"),
        (not rivals, "it is the only strategy"),
        (term.strength == 0, "its strength is 0"),
        (length > 1, "a selection of sequences is not comparable with one of single frames"),
    )
    general = next((reason for applies, reason in reasons if applies), None)
    if general is not None:
        return general
    found = None
    match term:
        case Weights(target=target):
            found = None if target is None else f"a range of sums {own}"
        case _ if term.strength < 0:
            found = f"a negative strength {own}"
        case Balance(shares=shares) if not one_class_each(shares):
            found = f"a sample of several classes {own}"
        case Diversity(objects=Objects()):
            found = f"diversity of objects {own}"
        case Diversity() if products > MAX_PRODUCTS:
            found = "a second selection of this size takes too long"
    return found


def _best_sum(term: Weights, open_: NDArray[np.bool_], picks: int) -> float:
    ascending = np.sort(term.values[open_])
    return float((ascending[-picks:] if term.strength > 0 else ascending[:picks]).sum())


def _filled(term: Balance, open_: NDArray[np.bool_], picks: int, before: Rows) -> float:
    already = term.shares[before].sum(axis=0)
    counts = term.shares[open_].sum(axis=0).astype(np.int64)
    objective = BalanceObjective(np.zeros((1, len(counts))), term.target)
    objective.totals = already + fill(counts, term.target, picks, already=already)
    return objective.value()
