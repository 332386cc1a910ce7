"""From a job's strategies and a pool to the rows that are selected."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jobs.selection import Entry, Selection
from jobs.spec import SelectionJob
from worker.analysis.goals import Goal, Goals, NamedQuota
from worker.effects import described, effects_of, kept
from worker.facts import EndedName, StrategyFacts
from worker.random_keys import random_keys, uniforms
from worker.rendering.text import plural
from worker.rules import rules_of
from worker.selection import engine
from worker.selection.draw import draw
from worker.selection.gates.gate import Gate
from worker.selection.gates.quotas import QuotaConflict
from worker.selection.pool import Pool
from worker.selection.protected import too_near
from worker.selection.rules import Protected, Rules, Windows
from worker.selection.terms import Term, Weights
from worker.selection.units import Layout, total_weights
from worker.selection.windows import open_windows, rows_inside
from worker.strategy import Effect, Samples

Mask = NDArray[np.bool_]

_ENDED: dict[EndedName, str] = {
    "too_close": "the best candidate left is nearer to the selection than stopping_condition_minimum_distance",
    "max_sum": "stopping_condition_max_sum was reached",
    "minimum_typicality": "the best candidate was less typical than stopping_condition_minimum_typicality",
}
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen: (k,) rows in pick order out of the (n,) candidates, how, and what the reader should know.

    `goals` is what the analysis explains the picks by: terms, quotas, mode, protected, and why the selection ended.
    `sequences` are the rows of each selected sequence in pick order, ascending within; where no sequences are asked for,
    each selected frame is one. Images are in none.
    """

    rows: NDArray[np.int64]
    candidates: Mask
    strategies: tuple[StrategyFacts, ...]
    warnings: tuple[str, ...]
    goals: Goals
    sequences: tuple[tuple[int, ...], ...] = ()


def choose(samples: Samples, job: SelectionJob, *, asked: int) -> Choice:
    """Apply the thresholds and the protected set, then pick by the other strategies; without any, draw uniformly.

    Raises:
        JobRejected: a strategy or a quota cannot be carried out on these samples.
    """
    selection = job.selection
    entries = {f"selection.strategies.{place}": entry for place, entry in enumerate(selection.strategies)}
    by_place, passed = effects_of(entries, samples)
    effects = list(by_place.values())
    rules = rules_of(selection, replace(samples, passed=passed))
    candidates = kept(effects, passed)
    near = _near(samples, selection, candidates)
    candidates[near] = False
    single = candidates
    if rules.rules.windows is not None:
        open_ = open_windows(rules.rules.windows, candidates)
        rules = replace(rules, rules=replace(rules.rules, windows=open_))
        candidates = rows_inside(open_, len(candidates))
    ranked = any(effect.term is not None and effect.term.strength for effect in effects)
    try:
        found = _picked(samples, effects, candidates, rules=rules.rules, job=job, asked=asked)
    except QuotaConflict as conflict:
        raise rules.refused(conflict) from conflict
    return Choice(
        rows=found.rows,
        candidates=candidates,
        strategies=tuple(
            described(entry, effect, samples)
            for entry, effect in zip(selection.strategies, effects, strict=True)
        ),
        warnings=(
            *(warning for effect in effects for warning in effect.warnings),
            *_alone(single, candidates, selection),
            *_warnings(candidates, found, selection, asked=asked, ranked=ranked, near=len(near)),
            *_missed_ranges(selection.strategies, effects, found.rows, rules.rules.windows),
            *_missed_quotas(rules.quotas, found.rows),
        ),
        goals=Goals(
            terms=_goals(selection.strategies, effects),
            quotas=rules.quotas,
            mode=selection.mode,
            protected_count=len(near),
            ended=found.ended,
            windows=rules.rules.windows,
        ),
        sequences=_sequences(samples, selection, found.rows),
    )


def _sequences(
    samples: Samples, selection: Selection, rows: NDArray[np.int64]
) -> tuple[tuple[int, ...], ...]:
    if samples.times is None:
        return ()
    frames = rows[samples.times.videos[rows] >= 0]
    return tuple(map(tuple, frames.reshape(-1, selection.selected_sequence_length).tolist()))


def _near(samples: Samples, selection: Selection, candidates: Mask) -> NDArray[np.int64]:
    """Return the candidates that are too near to a protected sample."""
    if selection.protected is None:
        return np.empty(0, np.int64)
    protected = Protected(samples.queries[selection.protected.query], selection.protected.radius)
    return too_near(samples.embeddings, np.flatnonzero(candidates), protected, device=samples.device)


def _picked(
    samples: Samples,
    effects: Sequence[Effect],
    candidates: Mask,
    *,
    rules: Rules,
    job: SelectionJob,
    asked: int,
) -> engine.Selection:
    if not candidates.any():
        Gate(
            np.empty(0, np.int64), asked, quotas=rules.quotas, rows=len(candidates)
        )  # refuses what is asked of nothing
        return engine.Selection(np.empty(0, np.int64))
    terms: list[Term] = [effect.term for effect in effects if effect.term is not None]
    keys = random_keys(job.seed, samples.names)
    if not terms and not rules.bind:
        return engine.Selection(draw(candidates, keys, asked))
    if not any(term.strength for term in terms):  # what has no strength may still stop or keep apart
        terms.append(Weights(_drawing_lots(1.0 - uniforms(keys), candidates, rules)))
    return engine.select(
        Pool(samples.embeddings, candidates),
        terms,
        asked,
        device=samples.device,
        preselected=samples.preselected,
        rules=rules,
        mode=job.selection.mode,
    )


def _drawing_lots(lots: NDArray[np.float64], candidates: Mask, rules: Rules) -> NDArray[np.float64]:
    """Return (n,) weights whose sum over a group is one uniform number, however large the group is."""
    if rules.groups is None:
        return lots
    together = candidates & (rules.groups >= 0)
    _, first, group, sizes = np.unique(
        rules.groups[together], return_index=True, return_inverse=True, return_counts=True
    )
    lots[together] = (lots[together][first] / sizes)[group]
    return lots


def _goals(entries: Sequence[Entry], effects: Sequence[Effect]) -> tuple[Goal, ...]:
    """Return the terms under the names of their strategies; a name that comes again is numbered."""
    goals: list[Goal] = []
    seen: Counter[str] = Counter()
    for entry, effect in zip(entries, effects, strict=True):
        if effect.term is not None:
            name = _goal_name(entry)
            seen[name] += 1
            numbered = name if seen[name] == 1 else f"{name} ({seen[name]})"
            goals.append(Goal(numbered, effect.term, effect.classes))
    return tuple(goals)


def _goal_name(entry: Entry) -> str:
    """Return `diversity`, `weights of lightly.sharpness`, `balance of weather`, `diversity of cars`."""
    given = entry.input
    parts = [getattr(given, name, None) for name in ("task", "score", "key")]
    source = " ".join(part for part in parts if part) or ("random" if given.type == "RANDOM" else "")
    name = entry.strategy.type.lower()
    return f"{name} of {source}" if source else name


def _missed_ranges(
    entries: Sequence[Entry],
    effects: Sequence[Effect],
    rows: NDArray[np.int64],
    windows: Windows | None,
) -> Iterator[str]:
    for entry, effect in zip(entries, effects, strict=True):
        if isinstance(effect.term, Weights) and effect.term.target is not None and len(rows):
            least, most = effect.term.target
            total = _total(effect.term.values, rows, windows)
            if not least * (1 - 1e-9) <= total <= most * (1 + 1e-9):
                yield (
                    f"The {_goal_name(entry)} add up to {total:g}, outside target_range"
                    f" ({least:g} to {'any' if most == np.inf else format(most, 'g')})."
                )


def _total(values: NDArray[np.float64], rows: NDArray[np.int64], windows: Windows | None) -> float:
    """Return what the weights of the picks add up to, as the selection counts them."""
    if windows is None:
        return float(values[rows].sum())
    starts = np.arange(0, len(rows), windows.length)
    picked = Layout(rows, starts, np.full(len(starts), windows.length))
    return float(total_weights(values, picked, windows.pooling).sum())


def _missed_quotas(quotas: Sequence[NamedQuota], rows: NDArray[np.int64]) -> Iterator[str]:
    missed = [
        f"{named.key} {named.values[label]!r} {picked:,} of {least:,}"
        for named in quotas
        for label, (picked, least) in enumerate(
            zip(_picked_by_value(named, rows), named.quota.at_least.tolist(), strict=True)
        )
        if picked < least
    ]
    if missed:
        more = f" and {len(missed) - _SHOWN:,} more" if len(missed) > _SHOWN else ""
        yield f"Fewer were selected than at_least of the quotas asks for: {', '.join(missed[:_SHOWN])}{more}."


def _picked_by_value(named: NamedQuota, rows: NDArray[np.int64]) -> list[int]:
    labels = named.quota.labels[rows]
    return np.bincount(labels[labels >= 0], minlength=len(named.values)).tolist()


def _alone(single: Mask, candidates: Mask, selection: Selection) -> Iterator[str]:
    """Say how many samples could be picked by themselves, but are in no sequence."""
    alone = int((single & ~candidates).sum())
    if alone:
        yield (
            f"Left out: {plural(alone, 'sample')} in no whole sequence of {selection.selected_sequence_length:,}"
            " frames: images, what is left at the end of a video, and what is beside a frame that is left out."
        )


def _rules_say(selection: Selection) -> str:
    """Return why no further sample fits, of the rules that the job has."""
    length = selection.selected_sequence_length
    reasons = (
        (selection.quotas, "fits the quotas"),
        (
            selection.min_gap_s is not None,
            f"is min_gap_s ({selection.min_gap_s} s) from the others of its video",
        ),
        (length > 1, "is in a whole sequence that shares no frame with a selected one"),
        (selection.groups is not None, "is in a group that is small enough for what is left of n_samples"),
    )
    return f"no further sample {' and '.join(text for applies, text in reasons if applies)}"


def _warnings(
    candidates: Mask,
    found: engine.Selection,
    selection: Selection,
    *,
    asked: int,
    ranked: bool,
    near: int,
) -> list[str]:
    count, picked = int(candidates.sum()), len(found.rows)
    warnings = []
    if near:
        warnings.append(f"Left out: {plural(near, 'sample')} within the radius of a protected one.")
    if not count:
        warnings.append(
            "No sample is left after the thresholds and what else leaves samples out: nothing was selected."
        )
    elif found.ended is not None:
        why = _ENDED[found.ended] if found.ended != "rules" else _rules_say(selection)
        warnings.append(f"{picked:,} of {asked:,} samples were selected: {why}.")
    elif asked > count:
        warnings.append(
            f"{plural(asked, 'sample was', 'samples were')} asked for, but only {count:,} can be picked: all of them were selected."
        )
    if not ranked:
        warnings.append(
            "No strategy with a strength ranks the samples, so those that pass were drawn uniformly at random."
        )
    return warnings
