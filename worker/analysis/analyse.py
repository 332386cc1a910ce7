"""All numbers about one selection."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from worker.analysis import baseline, pairs
from worker.analysis.alone import outcomes
from worker.analysis.balance import balance_facts
from worker.analysis.budget_curve import budget_curve
from worker.analysis.columns import NumericColumn, TextColumn, category_facts, measure_facts
from worker.analysis.distances import Embeddings, Rows, Values, in_shared_bins, to_closest, to_closest_other
from worker.analysis.explain import Explanation, first_picks
from worker.analysis.goals import Goals
from worker.analysis.proof import insertion_curve, prove
from worker.analysis.quotas import quota_facts
from worker.analysis.scatter import scatter
from worker.analysis.verdict import judge
from worker.device import Device
from worker.facts import Analysis, SetName
from worker.selection.interval import RadiusInterval
from worker.selection.terms import Balance

STAGE = 100
MAX_PAIRS = 4_000_000_000
PICKS = 24


def analyse(
    embeddings: Embeddings,
    *,
    names: Sequence[str],
    selected: Rows,
    candidates: NDArray[np.bool_],
    preselected: NDArray[np.bool_] | None = None,
    goals: Goals,
    explanation: Explanation,
    columns: Sequence[NumericColumn | TextColumn] = (),
    narrowed: RadiusInterval | None = None,
    seed: int,
    device: Device,
) -> Analysis:
    """Describe a selection of a pool; pure, and the same for the same arguments on the same device.

    `embeddings` is (n, d) float32, in the space that the selection used; `names` its n sample names; `selected`
    the picked rows in pick order; `candidates` (n,) which rows could be picked; `preselected` (n,) which rows
    were kept by earlier jobs: they are no input, and every selection and random draw is joined with them. `goals` is
    what the job asked for, `explanation` the replay of the picks, `narrowed` what a search found about the best radius.

    Memory beyond the arguments: one copy of the embeddings where some rows are preselected, about 40 bytes a row,
    and what `neighbours` needs for one block. The largest work is n x (selected + preselected) distances; the
    input's own diversity is measured on a seeded sample where it would need more than MAX_PAIRS.
    """
    n = len(embeddings)
    kept_before = np.zeros(n, bool) if preselected is None else preselected
    before = np.flatnonzero(kept_before)
    inputs = np.flatnonzero(~kept_before)
    selected = np.asarray(selected, np.int64)
    kept = np.concatenate([selected, before])
    could_be = np.flatnonzero(candidates)
    coverage, closest = to_closest(embeddings, inputs, kept, device=device)
    own = to_closest_other(embeddings, selected, kept, device=device)
    draws = baseline.draw(
        embeddings,
        size=len(selected),
        candidates=could_be,
        windows=goals.windows,
        inputs=inputs,
        preselected=before,
        seed=seed,
        device=device,
    )
    beside = baseline.compare(
        draws,
        diversity=own,
        coverage=coverage[np.searchsorted(inputs, draws.measured)] if len(coverage) else coverage,
        input_rows=len(inputs),
    )
    insertion = insertion_curve(embeddings, selected, before)
    is_dropped = candidates[inputs] & ~np.isin(inputs, selected)
    left_out = (inputs[is_dropped], closest[is_dropped], coverage[is_dropped]) if len(coverage) else None
    sizes: dict[SetName, int] = {
        "input": len(inputs),
        "selected": len(selected),
        "random": len(selected),
        "datapool": len(before),
        "selected_with_datapool": len(kept),
    }
    inside: dict[SetName, Values] = {
        "input": _inside_input(embeddings, inputs, seed=seed, device=device),
        "selected": own,
    }
    covered: dict[SetName, Values] = {"selected": coverage}
    if len(before):
        inside["datapool"] = to_closest_other(embeddings, before, before, device=device)
        inside["selected_with_datapool"] = to_closest_other(embeddings, kept, kept, device=device)
        covered = {
            "selected": to_closest(embeddings, inputs, selected, device=device)[0],
            "datapool": to_closest(embeddings, inputs, before, device=device)[0],
            "selected_with_datapool": coverage,
        }
    return Analysis(
        verdict=judge(
            selected=len(selected),
            candidates=int(candidates.sum()),
            baseline=beside,
            preselected=len(before),
            length=goals.length,
        ),
        baseline=beside,
        diversity=in_shared_bins(inside, sizes, draws.diversity),
        coverage=in_shared_bins(covered, sizes, draws.coverage),
        proof=prove(
            coverage=coverage,
            is_candidate=candidates[inputs] if len(coverage) else np.empty(0, bool),
            separation=float(own.min()) if len(own) else None,
            insertion=insertion,
            narrowed=narrowed,
        ),
        scatter=scatter(
            embeddings, names=names, inputs=inputs, selected=selected, preselected=before, seed=seed
        ),
        look_alikes=pairs.look_alikes(names, *left_out) if left_out else (),
        least_covered=pairs.least_covered(names, *left_out) if left_out else (),
        picks=first_picks(names, explanation, PICKS),
        measures=tuple(
            measure_facts(column, inputs=inputs, selected=selected)
            for column in columns
            if isinstance(column, NumericColumn)
        ),
        categories=tuple(
            category_facts(column, inputs=inputs, selected=selected)
            for column in columns
            if isinstance(column, TextColumn)
        ),
        mode=goals.mode,
        outcomes=outcomes(
            embeddings,
            explanation,
            candidates=candidates,
            before=before,
            length=goals.length,
            device=device,
        ),
        budgets=budget_curve(
            embeddings,
            selected=selected,
            goals=goals.terms,
            draws=draws,
            before=before,
            input_rows=len(inputs),
            seed=seed,
            device=device,
        ),
        balances=tuple(
            balance_facts(
                goal, goal.term, selected=selected, candidates=could_be, before=before, length=goals.length
            )
            for goal in goals.terms
            if isinstance(goal.term, Balance)
        ),
        quotas=tuple(quota_facts(one, selected=selected, candidates=could_be) for one in goals.quotas),
        protected=goals.protected_count,
        ended=goals.ended,
    )


def _inside_input(embeddings: Embeddings, inputs: Rows, *, seed: int, device: Device) -> Values:
    rng = np.random.Generator(np.random.PCG64([seed, STAGE]))
    affordable = max(1_000, MAX_PAIRS // max(1, len(inputs)))
    asked = inputs if len(inputs) <= affordable else np.sort(rng.choice(inputs, affordable, replace=False))
    return to_closest_other(embeddings, asked, inputs, device=device)
