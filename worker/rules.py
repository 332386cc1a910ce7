"""From a job's groups, quotas, sequences and gaps to the rules that a selection keeps to."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.contract import did_you_mean
from jobs.errors import JobRejected
from jobs.rules import Group, KeyBounds, bounds_by_key
from jobs.selection import Selection
from worker.analysis.goals import NamedQuota
from worker.categories import Category
from worker.rigs import rigs
from worker.selection.gates.quotas import QuotaConflict
from worker.selection.rules import Gap, Quota, Rules, Windows
from worker.selection.windows import window_starts
from worker.strategy import Samples

SHOWN = 20
NO_BOUND = 2**62
RIG_KEYS = ("camera", "lightly.folder")
"""Metadata that tells the images of a rig apart, the first that an image has."""


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


def word_keys(selection: Selection) -> set[str]:
    """Return the metadata keys that a selection uses, and those that tell the images of its rigs apart."""
    is_rig = selection.groups is not None and selection.groups.tolerance_s is not None
    return {*selection.metadata_keys(), *(RIG_KEYS if is_rig else ())}


def rules_of(selection: Selection, samples: Samples) -> JobRules:
    """Return the rules of a selection; several quotas on one key are one.

    A sample without a value counts for no quota of the key, and is a group of its own.

    Raises:
        JobRejected: there is no such category, a quota names a value that no sample has, or a time is no number.
    """
    quotas = []
    places: dict[str, int] = {}
    for key, bounds in bounds_by_key(selection.quotas).items():
        places[key] = next(place for place, quota in enumerate(selection.quotas) if quota.key == key)
        category = samples.category(key, at=f"selection.quotas.{places[key]}.key")
        _check_values(selection, key, category)
        quotas.append(_named_quota(key, category, bounds, present=category.counts(samples.passed)))
    rules = Rules(
        quotas=tuple(one.quota for one in quotas),
        groups=None if selection.groups is None else _groups(selection.groups, samples),
        windows=_windows(selection, samples),
        gap=_gap(selection, samples),
    )
    return JobRules(rules, tuple(quotas), places)


def _groups(asked: Group, samples: Samples) -> NDArray[np.int64]:
    """Return the (n,) group of each sample, or -1: those of a category, or the rigs in each value of it."""
    same = samples.category(asked.key, at="selection.groups.key").labels
    if asked.tolerance_s is None:
        return same
    seconds = np.where(samples.own, _seconds(asked, samples), np.nan)
    return rigs(same, _cameras(samples), seconds, tolerance=asked.tolerance_s)


def _cameras(samples: Samples) -> NDArray[np.int64]:
    """Return (n,) numbers that tell views apart: of a frame its video, of an image its camera, or else its folder."""
    videos = samples.times.videos if samples.times is not None else np.full(len(samples.names), -1)
    camera, folder = (samples.categories[key] for key in RIG_KEYS)
    named = np.where(camera.missing, len(camera.values) + folder.labels, camera.labels)
    return np.where(videos >= 0, videos, videos.max(initial=-1) + 1 + named)


def _seconds(asked: Group, samples: Samples) -> NDArray[np.float64]:
    """Return (n,) times: the number of `time_key`, if there is one, and for a frame its time in the video; NaN for none."""
    count = len(samples.names)
    if samples.times is None:
        within, is_frame = np.zeros(count), np.zeros(count, np.bool_)
    else:
        is_frame = samples.times.videos >= 0
        within = np.where(is_frame, samples.times.seconds, 0.0)
    if asked.time_key is None:
        return np.where(is_frame, within, np.nan)
    at = "selection.groups.time_key"
    numbers = samples.numbers_of(asked.time_key, needs="a time", at=at)
    # Large numbers, such as microseconds since 1970, would lose their digits beside a small unit.
    first = np.nanmin(numbers) if np.isfinite(numbers).any() else 0.0
    return (numbers - first) * asked.time_unit_s + within


def _windows(selection: Selection, samples: Samples) -> Windows | None:
    length = selection.selected_sequence_length
    if length == 1:
        return None
    lines = np.full(len(samples.names), -1) if samples.times is None else samples.times.videos
    starts = window_starts(lines, length, stride=length - selection.sequence_overlap)
    return Windows(starts, length, selection.sequence_pooling)


def _gap(selection: Selection, samples: Samples) -> Gap | None:
    if selection.min_gap_s is None or samples.times is None:
        return None
    return Gap(samples.times.videos, samples.times.seconds, selection.min_gap_s)


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
