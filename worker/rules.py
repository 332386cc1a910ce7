"""From a job's groups and quotas to the rules that a selection keeps to."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.contract import did_you_mean
from jobs.errors import JobRejected
from jobs.rules import KeyBounds, bounds_by_key
from jobs.selection import Selection
from worker.analysis.goals import NamedQuota
from worker.categories import Category
from worker.selection.gates.quotas import QuotaConflict
from worker.selection.rules import Quota, Rules
from worker.strategy import Samples

SHOWN = 20
NO_BOUND = 2**62


@dataclass(frozen=True, slots=True)
class JobRules:
    """The rules of a job on its samples, the names of what its quotas count, and the places of these in the job."""

    rules: Rules
    quotas: tuple[NamedQuota, ...]
    places: dict[str, int]

    def refused(self, conflict: QuotaConflict) -> JobRejected:
        """Put a conflict of quotas into the job's words."""
        named = self.quotas[conflict.quota]
        if conflict.label is None:
            return JobRejected(f"selection.quotas: on {named.key}: {conflict.message}")
        value = named.values[conflict.label]
        return JobRejected(
            f"selection.quotas.{self.places[named.key]}: {named.key} {value!r}: {conflict.message}"
        )


def rules_of(selection: Selection, samples: Samples) -> JobRules:
    """Return the rules of a selection; several quotas on one key are one.

    A sample without a value counts for no quota of the key, and is a group of its own.

    Raises:
        JobRejected: there is no such category, or a quota names a value that no sample has.
    """
    quotas = []
    places: dict[str, int] = {}
    for key, bounds in bounds_by_key(selection.quotas).items():
        places[key] = next(place for place, quota in enumerate(selection.quotas) if quota.key == key)
        category = samples.category(key, at=f"selection.quotas.{places[key]}.key")
        _check_values(selection, key, category)
        quotas.append(_named_quota(key, category, bounds, present=category.counts(samples.passed)))
    groups = selection.groups
    rules = Rules(
        quotas=tuple(one.quota for one in quotas),
        groups=samples.category(groups.key, at="selection.groups.key").labels if groups else None,
    )
    return JobRules(rules, tuple(quotas), places)


def _check_values(selection: Selection, key: str, category: Category) -> None:
    for place, quota in enumerate(selection.quotas):
        if quota.key == key and quota.value is not None and quota.value not in category.values:
            more = f" and {len(category.values) - SHOWN:,} more" if len(category.values) > SHOWN else ""
            there = f"are {', '.join(category.values[:SHOWN])}{more}" if category.values else "is none at all"
            raise JobRejected(
                f"selection.quotas.{place}.value: no sample has {key} {quota.value!r}; there {there}"
                f"{did_you_mean(quota.value, category.values)}"
            )


def _named_quota(
    key: str, category: Category, bounds: KeyBounds, *, present: NDArray[np.int64]
) -> NamedQuota:
    """`each value` means those that samples which passed the thresholds have; a value by its name is asked for anyway."""
    every = [bounds.of(value) for value in category.values]
    at_least = [
        one.at_least if there or value in bounds.named else 0
        for value, one, there in zip(category.values, every, present.tolist(), strict=True)
    ]
    at_most = [NO_BOUND if one.at_most is None else one.at_most for one in every]
    quota = Quota(category.labels, np.array(at_least, np.int64), np.array(at_most, np.int64))
    return NamedQuota(key, category.values, quota)
