"""Bounds on the number of picks by value, and what came of them."""

import numpy as np

from worker.analysis.distances import Rows
from worker.analysis.goals import NamedQuota
from worker.facts import QuotaFacts, QuotaValue


def quota_facts(named: NamedQuota, *, selected: Rows, candidates: Rows) -> QuotaFacts:
    """Return the values that have a bound, with their candidates, their picks and how many are missing."""
    quota = named.quota
    there, picked = (
        np.bincount(quota.labels[rows][quota.labels[rows] >= 0], minlength=len(named.values))
        for rows in (candidates, selected)
    )
    bounded = [
        value
        for value in range(len(named.values))
        if quota.at_least[value] > 0 or quota.at_most[value] < len(quota.labels)
    ]
    return QuotaFacts(
        key=named.key,
        values=tuple(
            QuotaValue(
                value=named.values[value],
                at_least=int(quota.at_least[value]),
                at_most=int(quota.at_most[value]) if quota.at_most[value] < len(quota.labels) else None,
                candidates=int(there[value]),
                picked=int(picked[value]),
                missing=max(0, int(quota.at_least[value] - picked[value])),
            )
            for value in bounded
        ),
    )
