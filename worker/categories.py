"""Metadata of a sample that are words rather than numbers, taken from its name."""

import math
import re
from array import array
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.patterns import group_names, matcher

_NUMBER = re.compile(r"[+-]?\d{1,300}(\.\d{1,300})?([eE][+-]?\d{1,3})?", re.ASCII)

BUILT_IN: dict[str, Callable[[str], str | None]] = {
    "lightly.extension": lambda name: (
        name.rpartition("/")[2].partition(".")[2].rpartition(".")[2].lower() or None
    ),
    "lightly.folder": lambda name: name.rpartition("/")[0] or ".",
}
"""Keys that every sample has: its extension in lower case, and its folder below the input, `.` for the top."""


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
    return (*sorted(BUILT_IN), *(group_names(pattern) if pattern else ()))


def categories_of(names: Sequence[str], pattern: str | None, *, keys: Collection[str]) -> dict[str, Category]:
    """Return those of `keys` that names give, by key; 8 bytes a sample and key, beside each value once.

    The pattern is looked for anywhere in the name, which for an image is its key below the input. A name in which it
    is not found, or whose group matches nothing, has no value.
    """
    numberings = {key: _Numbering() for key in category_keys(pattern) if key in keys}
    built_in = [(BUILT_IN[key], numbering) for key, numbering in numberings.items() if key in BUILT_IN]
    groups = [(key, numbering) for key, numbering in numberings.items() if key not in BUILT_IN]
    match = matcher(pattern) if pattern and groups else None
    for name in names:
        for read, numbering in built_in:
            numbering.add(read(name))
        if match is not None:
            found = match(name) or {}
            for key, numbering in groups:
                numbering.add(found.get(key))
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
