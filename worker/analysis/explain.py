"""Why each pick was picked, found by replaying the picks: no engine is asked, so none can tell it differently."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.analysis.distances import Embeddings, Rows, Values
from worker.analysis.goals import Goals
from worker.analysis.growth import grow
from worker.analysis.replays import Compared, Effort, replay
from worker.device import Device
from worker.facts import ObjectiveStep, Pick
from worker.selection.neighbours import nearest

STAGE = 103
COMPARED = 500
_BLOCK_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Explanation:
    """(k,) arrays in pick order; NaN and -1 where there is nothing.

    `inserted`: distance to what was kept before the pick. `nearest_kept`, `nearest_dropped`: the rows of the nearest
    other kept sample and of the nearest that was not kept. `decided_by`: position in `efforts` of the largest lead.
    """

    rows: Rows
    inserted: Values
    nearest_kept: Rows
    nearest_kept_distance: Values
    nearest_dropped: Rows
    nearest_dropped_distance: Values
    efforts: tuple[Effort, ...]
    decided_by: Rows

    def decided(self, place: int) -> int | None:
        """Return how many picks a strategy decided; None for a single one, which decides them all, or without any leads."""
        if len(self.efforts) < 2 or all(np.isnan(effort.lead).all() for effort in self.efforts):
            return None
        return int((self.decided_by == place).sum())


def explain(
    embeddings: Embeddings,
    *,
    goals: Goals,
    selected: Rows,
    candidates: NDArray[np.bool_],
    before: Rows,
    asked: int,
    seed: int,
    device: Device,
) -> Explanation:
    """Replay the (k,) selected rows of `asked`, joined with the (p,) rows kept before; exact, in float64.

    The lead of a pick in one strategy is strength x (ln of the objective with the pick - mean over C of the ln with c
    in its place), where C are the candidates not picked yet among COMPARED drawn with the seed. Leads add up to the ln
    of the pick's product over that of the average such candidate, so the largest one says which strategy decided.
    Where the mode multiplies gains, it is their lead; the submodular mode multiplies nothing and has none, and neither have
    frames of sequences, since sequences were compared and not frames.

    Cost: O(k (k + p + COMPARED) d), and k x n distances for the nearest samples that were not kept.
    """
    growth = grow(embeddings, selected, before=before, device=device)
    dropped, dropped_distance = _nearest_dropped(embeddings, selected, before, device=device)
    compared = _compared(goals, candidates, before, seed)
    efforts = tuple(
        replay(
            goal,
            embeddings,
            selected,
            already=before,
            growth=growth,
            compared=Compared(compared, _taken_at(selected, compared)),
            mode=goals.mode,
            asked=asked,
        )
        for goal in goals.terms
    )
    return Explanation(
        rows=selected,
        inserted=growth.inserted,
        nearest_kept=growth.nearest,
        nearest_kept_distance=growth.distance,
        nearest_dropped=dropped,
        nearest_dropped_distance=dropped_distance,
        efforts=efforts,
        decided_by=_largest([effort.lead for effort in efforts], len(selected)),
    )


def first_picks(names: Sequence[str], found: Explanation, count: int) -> tuple[Pick, ...]:
    """Return the first picks as the report shows them."""
    return tuple(
        Pick(
            sample=names[int(found.rows[at])],
            step=at + 1,
            distance=number(found.inserted[at]),
            nearest_kept=_name(names, found.nearest_kept[at]),
            nearest_kept_distance=number(found.nearest_kept_distance[at]),
            nearest_dropped=_name(names, found.nearest_dropped[at]),
            nearest_dropped_distance=number(found.nearest_dropped_distance[at]),
            decided_by=found.efforts[found.decided_by[at]].goal.name if found.decided_by[at] >= 0 else None,
            objectives=tuple(
                ObjectiveStep(
                    strategy=effort.goal.name,
                    before=float(effort.before[at]),
                    after=float(effort.after[at]),
                    lead=number(effort.lead[at]),
                )
                for effort in found.efforts
            ),
        )
        for at in range(min(count, len(found.rows)))
    )


def number(value: float) -> float | None:
    """Return a number that JSON can hold: None for NaN."""
    return None if np.isnan(value) else float(value)


def _name(names: Sequence[str], row: int) -> str | None:
    return None if row < 0 else names[int(row)]


def _compared(goals: Goals, candidates: NDArray[np.bool_], before: Rows, seed: int) -> Rows:
    """Draw the candidates that picks are compared with; none where there is nothing to tell apart."""
    if len(goals.terms) < 2 or goals.mode == "submodular" or goals.length > 1:
        return np.empty(0, np.int64)
    rng = np.random.Generator(np.random.PCG64([seed, STAGE]))
    rows = np.setdiff1d(np.flatnonzero(candidates), before)
    return rows if len(rows) <= COMPARED else np.sort(rng.choice(rows, COMPARED, replace=False))


def _taken_at(selected: Rows, compared: Rows) -> Rows:
    step_of = dict(zip(selected.tolist(), range(len(selected)), strict=True))
    return np.array([step_of.get(row, len(selected)) for row in compared.tolist()], np.int64)


def _largest(leads: Sequence[Values], picks: int) -> Rows:
    """Return which strategy has the largest lead at each pick; -1 where none leads."""
    if len(leads) < 2:
        return np.full(picks, -1, np.int64)
    stacked = np.nan_to_num(np.stack(leads), nan=-np.inf)
    return np.where(stacked.max(axis=0) > 0, stacked.argmax(axis=0), -1)


def _nearest_dropped(
    embeddings: Embeddings, selected: Rows, before: Rows, *, device: Device
) -> tuple[Rows, Values]:
    """Search the rows that were not kept block by block, so that no second copy of them all is made."""
    rows, distances = np.full(len(selected), -1, np.int64), np.full(len(selected), np.inf)
    dropped = np.ones(len(embeddings), np.bool_)
    dropped[selected] = dropped[before] = False
    queries = embeddings[selected]
    for start in range(0, len(embeddings) if len(selected) else 0, _BLOCK_ROWS):
        block = start + np.flatnonzero(dropped[start : start + _BLOCK_ROWS])
        if len(block):
            found, positions = nearest(queries, embeddings[block], 1, device=device)
            closer = found[:, 0] < distances
            distances[closer], rows[closer] = found[closer, 0], block[positions[closer, 0]]
    return rows, np.where(rows < 0, np.nan, distances)
