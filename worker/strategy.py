"""What a strategy makes of a job's entry: the rows it keeps, a term of the product, or both."""

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from jobs.contract import did_you_mean, shown
from jobs.errors import JobRejected
from jobs.inputs import Input, Metadata, Query, Random
from jobs.selection import Entry
from worker import strategies
from worker.categories import Category
from worker.device import Device
from worker.random_keys import random_keys, uniforms
from worker.selection.terms import Term

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Times:
    """Which samples are frames, and when: `videos` (n,) numbers their videos from 0, `seconds` (n,) are in the video.

    -1 and NaN where a sample is no frame. Frames of one video are neighbours, in the order of time.
    """

    videos: NDArray[np.int64]
    seconds: Values


@dataclass(frozen=True, slots=True)
class Samples:
    """What strategies look at: the n samples of a pool.

    `embeddings` is (n, d); `numbers` and `categories` are metadata by full key (`lightly.sharpness`), NaN and -1 where
    a sample has none; `queries` holds (q, d) embeddings of other samples. `passed` is (n,), False where a threshold
    has left a sample out, so that what such samples hold matters no more. `seed` is the job's. `preselected` are the
    (p,) rows of samples that earlier jobs have kept: they have not passed, since they cannot be picked, but they count
    towards what is selected, as if picked before the first pick. `times` is None where no sample is a frame.
    """

    names: Sequence[str]
    embeddings: NDArray[np.float32]
    numbers: Mapping[str, Values]
    categories: Mapping[str, Category]
    queries: Mapping[Query, NDArray[np.float32]]
    passed: Mask
    seed: int
    device: Device
    preselected: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    times: Times | None = None

    def values(self, entry: Entry, *, at: str) -> Values:
        """Return the (n,) numbers of an entry's input; NaN where a sample has none.

        RANDOM is uniform in [0, 1), from a hash of the sample's name and the entry's seed, else the job's. A category is
        a number where all its values are.

        Raises:
            JobRejected: there is no such metadata, it is not made of numbers, or the input has no values at all.
        """
        given: Input = entry.input
        match given:
            case Random(random_seed=seed):
                return uniforms(random_keys(self.seed if seed is None else seed, self.names))
            case Metadata(key=key):
                return self.numbers_of(key, needs=entry.strategy.type, at=f"{at}.input.key")
            case _:
                raise JobRejected(
                    f"{at}.input.type: {given.type} has no values here; choose from METADATA, RANDOM"
                )

    def numbers_of(self, key: str, *, needs: str, at: str) -> Values:
        """Return the (n,) numbers of a metadata key for what `needs` them; `at` is the key's place in the job.

        Raises:
            JobRejected: there is no such metadata, or it is not made of numbers.
        """
        if key in self.numbers:
            return np.asarray(self.numbers[key], np.float64)
        if key not in self.categories:
            raise JobRejected(_no_key(at, "numeric metadata", key, self.numbers))
        numbers = self.categories[key].numbers()
        if numbers is None:
            values = self.categories[key].values
            example = f" but has for example {shown(values[-1])}" if values else " and no sample has a value"
            raise JobRejected(f"{at}: {needs} needs numbers; {key!r} is a category{example}")
        return numbers

    def category(self, key: str, *, at: str) -> Category:
        """Return the category of a metadata key; `at` is the key's place in the job.

        Raises:
            JobRejected: there is no such metadata, or it is not a category.
        """
        if key not in self.categories:
            raise JobRejected(_no_key(at, "category", key, self.categories))
        return self.categories[key]

    @property
    def counted(self) -> Mask:
        """(n,) True where a sample passed the thresholds or is preselected."""
        if not len(self.preselected):
            return self.passed
        counted = self.passed.copy()
        counted[self.preselected] = True
        return counted

    @property
    def own(self) -> Mask:
        """(n,) True where a sample is the job's own, and not preselected."""
        own = np.ones(len(self.passed), np.bool_)
        own[self.preselected] = False
        return own

    @property
    def counted_embeddings(self) -> NDArray[np.float32]:
        """(m, d) embeddings of the samples that are counted; a copy, unless all are."""
        counted = self.counted
        return self.embeddings if counted.all() else self.embeddings[counted]

    def spread(self, values: Values) -> Values:
        """Return (n,) numbers: (m,) `values` of the samples that are counted, 0 for the rest."""
        spread = np.zeros(len(self.passed))
        spread[self.counted] = values
        return spread


@dataclass(frozen=True, slots=True)
class Effect:
    """What one entry does to a selection.

    `keep` is (n,), False where a sample may not be picked; None keeps all. `term` joins the product; None ranks
    nothing. `missing_count` of the samples that passed the thresholds had no value, so they are not kept. `classes`
    names the columns of a balance term. `detail` says in words what it looks for, `warnings` what the reader should know.
    """

    keep: Mask | None = None
    term: Term | None = None
    missing_count: int = 0
    classes: tuple[str, ...] = ()
    detail: str = ""
    warnings: tuple[str, ...] = ()


def effect_of(entry: Entry, samples: Samples, *, at: str) -> Effect:
    """Return what an entry does; `at` is its place in the job, for error texts.

    Each strategy is one file of `worker/strategies/`, named as its type, with a function
    `effect(entry, samples, *, at)`.

    Raises:
        JobRejected: no such strategy here, or the entry cannot be carried out on these samples.
    """
    name = entry.strategy.type.lower()
    choices = strategy_names()
    if name not in choices:
        raise JobRejected(
            f"{at}.strategy.type: {entry.strategy.type} is not available; choose from {', '.join(choices).upper()}"
        )
    module: ModuleType = importlib.import_module(f"{strategies.__name__}.{name}")
    effect: Effect = module.effect(entry, samples, at=at)
    return effect


def strategy_names() -> list[str]:
    """Return the names of all strategies that have a file."""
    return sorted(info.name for info in pkgutil.iter_modules(strategies.__path__))


def _no_key(at: str, what: str, key: str, known: Mapping[str, object]) -> str:
    choices = sorted(known)
    return f"{at}: no {what} {key!r}; choose from {', '.join(choices) or 'none'}{did_you_mean(key, choices)}"
