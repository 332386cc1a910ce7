"""Metadata of a sample that are words rather than numbers, taken from the name of its source."""

import math
import re
from array import array
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.patterns import Groups, group_names, matcher
from worker.source_names import BUILT_IN

_NUMBER = re.compile(r"[+-]?\d{1,300}(\.\d{1,300})?([eE][+-]?\d{1,3})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Category:
    """One key of n samples: `labels` (n,) number into the ascending `values`; -1 where a sample has none."""

    labels: NDArray[np.int64]
    values: tuple[str, ...]

    @property
    def missing(self) -> NDArray[np.bool_]:
        """(n,) True where a sample has no value."""
        return self.labels < 0

    def counts(self, among: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """Return the (v,) number of samples of each value, of all samples or `among` (n,) some."""
        labels = self.labels if among is None else self.labels[among]
        return np.bincount(labels[labels >= 0], minlength=len(self.values)).astype(np.int64)

    def first(self, n: int) -> "Category":
        """Return the first n samples; the values stay, even those that none of them has."""
        return Category(self.labels[:n], self.values)

    def texts(self) -> list[str | None]:
        """Return the n values as texts."""
        return [None if label < 0 else self.values[label] for label in self.labels.tolist()]

    def numbers(self) -> NDArray[np.float64] | None:
        """Return the (n,) values as numbers, NaN where there is none; None unless all values are decimal numbers."""
        found = [_number(value) for value in self.values]
        if any(math.isnan(number) for number in found) or not found:
            return None
        return np.array([*found, math.nan])[self.labels]


def categorized(texts: Iterable[str | None]) -> Category:
    """Number texts by their values."""
    numbering = _Numbering()
    for text in texts:
        numbering.add(text)
    return numbering.finished()


def category_keys(pattern: str | None) -> tuple[str, ...]:
    """Return the keys of all words that a name gives: the built-in ones and the named groups of the job's pattern."""
    groups = group_names(pattern) if pattern else ()
    return (*sorted(BUILT_IN.keys() - set(groups)), *groups)


def categories_of(
    sources: Iterable[str], pattern: str | None, *, keys: Collection[str]
) -> dict[str, Category]:
    """Return those of `keys` that names give, by key; 8 bytes a sample and key, beside each value once.

    `sources` are the keys below the input of what each sample is from: an image's own, a frame's video's. The pattern is
    looked for anywhere in them. A name in which it is not found, or whose group matches nothing, has no value. A group
    wins over a built-in key of its name.
    """
    numberings = {key: _Numbering() for key in category_keys(pattern) if key in keys}
    groups = set(group_names(pattern)) & numberings.keys() if pattern else set()
    built_in = [(key, BUILT_IN[key]) for key in numberings if key not in groups]
    match = matcher(pattern) if pattern and groups else None
    last, found = None, {}
    for source in sources:
        if source != last:  # the frames of a video follow each other
            last = source
            matched: Groups = (match(source) if match is not None else None) or {}
            found = {key: read(source) for key, read in built_in} | {key: matched.get(key) for key in groups}
        for key, numbering in numberings.items():
            numbering.add(found[key])
    return {key: numbering.finished() for key, numbering in numberings.items()}


class _Numbering:
    """Numbers texts as they come, and by their order at the end."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._labels = array("q")

    def add(self, text: str | None) -> None:
        self._labels.append(-1 if text is None else self._numbers.setdefault(text, len(self._numbers)))

    def finished(self) -> Category:
        values = sorted(self._numbers)
        ranks = np.full(len(values) + 1, -1, np.int64)  # the last place is for label -1
        ranks[[self._numbers[value] for value in values]] = np.arange(len(values))
        return Category(ranks[np.array(self._labels, np.int64)], tuple(values))


def _number(text: str) -> float:
    number = float(text) if _NUMBER.fullmatch(text) else math.nan
    return number if math.isfinite(number) else math.nan
