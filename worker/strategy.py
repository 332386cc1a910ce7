"""What a strategy makes of a job's entry: the rows it keeps, a term of the product, or both."""

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from jobs.contract import did_you_mean
from jobs.errors import JobRejected
from jobs.inputs import Input, Metadata, Random
from jobs.selection import Entry
from worker import strategies
from worker.random_keys import random_keys, uniforms
from worker.selection.objectives import Term

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Columns:
    """(n,) sample names, (n,) numeric metadata by full key (`lightly.sharpness`), and the job's seed."""

    names: Sequence[str]
    metadata: Mapping[str, Values]
    seed: int

    def of(self, entry: Entry, *, at: str) -> Values:
        """Return the (n,) values of an entry's input; NaN where a sample has none.

        RANDOM is uniform in [0, 1), from a hash of the sample's name and the entry's seed, else the job's.

        Raises:
            JobRejected: there is no such metadata, or the input is of a type that has no values.
        """
        given: Input = entry.input
        match given:
            case Random(random_seed=seed):
                return uniforms(random_keys(self.seed if seed is None else seed, self.names))
            case Metadata(key=key) if key in self.metadata:
                return np.asarray(self.metadata[key], np.float64)
            case Metadata(key=key):
                choices = sorted(self.metadata)
                raise JobRejected(
                    f"{at}.input.key: no numeric metadata {key!r}; choose from {', '.join(choices) or 'none'}"
                    f"{did_you_mean(key, choices)}"
                )
            case _:
                raise JobRejected(
                    f"{at}.input.type: {given.type} has no values here; choose from METADATA, RANDOM"
                )


@dataclass(frozen=True, slots=True)
class Effect:
    """What one entry does to a selection.

    `keep` is (n,), False where a sample may not be picked; None keeps all. `term` joins the product; None ranks
    nothing. `missing_count` samples had no value, so they are not kept.
    """

    keep: NDArray[np.bool_] | None = None
    term: Term | None = None
    missing_count: int = 0


def effect_of(entry: Entry, columns: Columns, *, at: str) -> Effect:
    """Return what an entry does; `at` is its place in the job, for error texts.

    Each strategy is one file of `worker/strategies/`, named as its type, with a function
    `effect(entry, columns, *, at)`.

    Raises:
        JobRejected: no such strategy here, or the entry cannot be carried out on these columns.
    """
    name = entry.strategy.type.lower()
    choices = sorted(info.name for info in pkgutil.iter_modules(strategies.__path__))
    if name not in choices:
        raise JobRejected(
            f"{at}.strategy.type: {entry.strategy.type} is not available; choose from {', '.join(choices).upper()}"
        )
    module: ModuleType = importlib.import_module(f"{strategies.__name__}.{name}")
    effect: Effect = module.effect(entry, columns, at=at)
    return effect
