"""What all strategies of a job do together: the samples that they leave, and each of them in words."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from jobs.selection import Entry, Threshold
from worker.facts import StrategyFacts
from worker.strategy import Effect, Samples, effect_of

Mask = NDArray[np.bool_]


def effects_of(entries: Mapping[str, Entry], samples: Samples) -> tuple[dict[str, Effect], Mask]:
    """Return what each entry does, by its place in the job, and (n,) which samples pass all thresholds: these come first.

    Raises:
        JobRejected: an entry cannot be carried out on these samples.
    """
    first = {at: entry for at, entry in entries.items() if isinstance(entry.strategy, Threshold)}
    effects = {at: effect_of(entry, samples, at=at) for at, entry in first.items()}
    passed = kept(effects.values(), samples.passed)
    left = replace(samples, passed=passed)
    return {
        at: effects[at] if at in effects else effect_of(entry, left, at=at) for at, entry in entries.items()
    }, passed


def kept(effects: Iterable[Effect], among: Mask) -> Mask:
    """Return (n,) which samples no effect leaves out."""
    found = among.copy()
    for effect in effects:
        if effect.keep is not None:
            found &= effect.keep
    return found


def described(entry: Entry, effect: Effect, samples: Samples) -> StrategyFacts:
    """Return a strategy in words, with what it does to the job's own samples."""
    source = getattr(entry.input, "key", None)
    parts = [f"on {source}" if source else "", effect.detail]
    if isinstance(entry.strategy, Threshold) and effect.keep is not None:
        keep = effect.keep[samples.own]
        parts.append(f"keeps {int(keep.sum()):,} of {len(keep):,}")
    if effect.missing_count:
        parts.append(f"{effect.missing_count:,} without a value left out")
    return StrategyFacts(
        type=entry.strategy.type,
        input=entry.input.type,
        strength=entry.strategy.strength,
        detail=", ".join(part for part in parts if part),
    )
