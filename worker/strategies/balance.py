"""Steer the distribution of classes."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.contract import did_you_mean
from jobs.errors import JobRejected
from jobs.inputs import Metadata
from jobs.selection import Balance as Asked
from jobs.selection import Entry
from worker.categories import Category
from worker.selection.terms import Balance
from worker.strategy import Effect, Samples

EVERYTHING_ELSE = "everything else"
SHOWN = 20
MAX_BYTES = 4 * 2**30


@dataclass(frozen=True, slots=True)
class _Target:
    """What is wanted: (c,) shares of the classes, and (v,) to which class each value belongs, -1 where no sample has it."""

    classes: tuple[str, ...]
    shares: NDArray[np.float64]
    class_of: NDArray[np.int64]
    warning: str = ""


def effect(entry: Entry, samples: Samples, *, at: str) -> Effect:
    """Return a term with a one for the class of each sample, and leave out samples without a value.

    TARGET: the classes that it names, and all others together as one class, for which what its shares leave up to 1 is
    wanted; where no sample has another class, the shares are scaled up to 1. UNIFORM: equal shares of the classes
    among the samples that passed the thresholds. INPUT: the shares among all samples of the input with a value.
    Preselected samples count towards the shares of the selection, unless they are of no class that is wanted.

    Memory: 8 bytes a sample and class, at most 4 GiB.

    Raises:
        JobRejected: no such category, a target names a class that no sample has, there are too many classes, or nothing
            to balance.
    """
    asked, given = entry.strategy, entry.input
    if not isinstance(asked, Asked) or not isinstance(given, Metadata):
        raise TypeError(f"{at}: expected a BALANCE on METADATA, got {asked.type} on {given.type}")
    category = samples.category(given.key, at=f"{at}.input.key")
    if not category.values and asked.target is None:
        raise JobRejected(
            f"{at}.input.key: no sample has a value of {given.key!r}, so there is nothing to balance"
        )
    known = ~category.missing
    present = category.counts(samples.passed)
    if asked.target is not None:
        target = _named(category, asked.target, present, at=f"{at}.strategy.target", key=given.key)
    else:
        everything = category.counts(samples.own)
        target = _counted(category, present if asked.distribution == "UNIFORM" else everything, asked)
    if not target.classes and (known & samples.passed).any():
        raise JobRejected(f"{at}.strategy: there are no classes to balance")
    needed = 8 * len(category.labels) * len(target.classes)
    if needed > MAX_BYTES:
        raise JobRejected(
            f"{at}.strategy: balancing {len(target.classes):,} classes of {len(category.labels):,} samples takes"
            f" {needed / 2**30:.1f} GiB; at most {MAX_BYTES // 2**30} are allowed: bound the classes by quotas instead"
        )
    one_hot = np.zeros((len(category.labels), len(target.classes)))
    of = np.append(target.class_of, -1)[category.labels]
    belongs = np.flatnonzero(of >= 0)
    one_hot[belongs, of[belongs]] = 1.0
    return Effect(
        keep=known,
        term=Balance(one_hot, target.shares, strength=asked.strength) if target.classes else None,
        missing_count=int(np.count_nonzero(~known & samples.passed)),
        classes=target.classes,
        detail=_detail(asked, target),
        warnings=(f"{at}: {target.warning}",) if target.warning else (),
    )


def _named(
    category: Category, asked: dict[str, float], present: NDArray[np.int64], *, at: str, key: str
) -> _Target:
    for name in asked:
        if name not in category.values:
            raise JobRejected(
                f"{at}: no sample has {key} {name!r}; there {_listed(category.values)}{did_you_mean(name, category.values)}"
            )
    number = {name: place for place, name in enumerate(asked)}
    class_of = np.array([number.get(value, len(asked)) for value in category.values], np.int64)
    shares = list(asked.values())
    total = math.fsum(shares)
    if (present[class_of == len(asked)] > 0).any():
        # The shares may exceed 1 by rounding, see the contract.
        wanted = np.array([*shares, max(0.0, 1.0 - total)])
        return _Target((*asked, _free_name(asked)), wanted / wanted.sum(), class_of)
    class_of[class_of == len(asked)] = -1
    if total == 0:
        raise JobRejected(f"{at}: every class that there is has a share of 0; nothing is left to select")
    scaled = f"its shares add up to {total:g} and no sample has another class, so they were scaled up to 1."
    return _Target(tuple(asked), np.array(shares) / total, class_of, scaled if abs(total - 1) > 1e-6 else "")


def _counted(category: Category, counts: NDArray[np.int64], asked: Asked) -> _Target:
    there = np.flatnonzero(counts)
    class_of = np.full(len(counts), -1, np.int64)
    class_of[there] = np.arange(len(there))
    wanted = np.ones(len(there)) if asked.distribution == "UNIFORM" else counts[there].astype(np.float64)
    return _Target(
        tuple(category.values[label] for label in there), wanted / max(wanted.sum(), 1.0), class_of
    )


def _free_name(asked: dict[str, float]) -> str:
    name = EVERYTHING_ELSE
    while name in asked:
        name = f"({name})"
    return name


def _listed(values: tuple[str, ...]) -> str:
    more = f" and {len(values) - SHOWN:,} more" if len(values) > SHOWN else ""
    return f"are {', '.join(values[:SHOWN])}{more}" if values else "is no class at all"


def _detail(asked: Asked, target: _Target) -> str:
    if asked.distribution == "UNIFORM":
        return f"equal shares of {len(target.classes):,} classes"
    if asked.distribution == "INPUT":
        return f"the shares that {len(target.classes):,} classes have in the input"
    pairs = [f"{name} {100 * share:.3g} %" for name, share in zip(target.classes, target.shares, strict=True)]
    return ", ".join(pairs[:6]) + (f" and {len(pairs) - 6:,} more classes" if len(pairs) > 6 else "")
