"""From a job's strategies and a pool to the rows that are selected."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.selection import Entry, Threshold
from jobs.spec import SelectionJob
from worker.device import Device
from worker.facts import StrategyFacts
from worker.random_keys import random_keys
from worker.selection.draw import draw
from worker.selection.engine import select
from worker.selection.objectives import Term
from worker.selection.pool import Pool
from worker.strategy import Columns, Effect, effect_of

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen: (k,) rows in pick order out of the (n,) candidates, how, and what the reader should know."""

    rows: NDArray[np.int64]
    candidates: Mask
    strategies: tuple[StrategyFacts, ...]
    warnings: tuple[str, ...]


def choose(
    embeddings: NDArray[np.float32],
    *,
    names: Sequence[str],
    measures: Mapping[str, NDArray[np.float64]],
    job: SelectionJob,
    asked: int,
    device: Device,
) -> Choice:
    """Apply the thresholds, then pick by the other strategies; without any, draw uniformly.

    `embeddings` is (n, d); `names` its n samples; `measures` maps keys such as `lightly.sharpness` to (n,) values.

    Raises:
        JobRejected: a strategy cannot be carried out on these samples.
    """
    entries = job.selection.strategies
    columns = Columns(names, measures, job.seed)
    effects = [
        effect_of(entry, columns, at=f"selection.strategies.{place}") for place, entry in enumerate(entries)
    ]
    candidates = np.ones(len(names), np.bool_)
    for effect in effects:
        if effect.keep is not None:
            candidates &= effect.keep
    terms: list[Term] = [effect.term for effect in effects if effect.term is not None]
    if not candidates.any():
        rows = np.empty(0, np.int64)
    elif terms:
        rows = select(Pool(embeddings, candidates), terms, asked, device=device).rows
    else:
        rows = draw(candidates, random_keys(job.seed, names), asked)
    return Choice(
        rows=rows,
        candidates=candidates,
        strategies=tuple(_described(entry, effect) for entry, effect in zip(entries, effects, strict=True)),
        warnings=tuple(_warnings(candidates, asked=asked, ranked=bool(terms))),
    )


def _described(entry: Entry, effect: Effect) -> StrategyFacts:
    source = getattr(entry.input, "key", None)
    parts = [f"on {source}" if source else ""]
    if isinstance(entry.strategy, Threshold):
        parts.append(f"{entry.strategy.operation} {entry.strategy.threshold:g}")
    if effect.keep is not None:
        parts.append(f"keeps {int(effect.keep.sum()):,} of {len(effect.keep):,}")
    if effect.missing_count:
        parts.append(f"{effect.missing_count:,} without a value")
    return StrategyFacts(
        type=entry.strategy.type,
        input=entry.input.type,
        strength=entry.strategy.strength,
        detail=", ".join(part for part in parts if part),
    )


def _warnings(candidates: Mask, *, asked: int, ranked: bool) -> list[str]:
    count = int(candidates.sum())
    warnings = []
    if not count:
        warnings.append("No sample passes the thresholds, so nothing was selected.")
    elif asked > count:
        warnings.append(
            f"{asked:,} samples were asked for, but there are only {count:,}: all of them were selected."
        )
    if not ranked:
        warnings.append("No strategy ranks the samples, so those that pass were drawn uniformly at random.")
    return warnings
