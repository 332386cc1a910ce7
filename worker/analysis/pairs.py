"""Kept samples beside those that were left out."""

from collections.abc import Sequence

import numpy as np

from worker.analysis.distances import Rows, Values
from worker.facts import Pair

PAIRS = 6


def look_alikes(names: Sequence[str], dropped: Rows, kept: Rows, distances: Values) -> tuple[Pair, ...]:
    """Return the pairs closest together, one for each kept sample first, then repeats until there are PAIRS.

    `dropped`, `kept` and `distances` are (m,): a sample that was left out, its closest kept one, how far.
    """
    order = np.lexsort((dropped, distances))
    first_of_kept = _distinct(kept, order)
    rest = [position for position in order[: 2 * PAIRS].tolist() if position not in first_of_kept]
    chosen = sorted(
        (*first_of_kept, *rest[: PAIRS - len(first_of_kept)]), key=lambda p: (distances[p], dropped[p])
    )
    return _pairs(names, dropped, kept, distances, chosen)


def least_covered(names: Sequence[str], dropped: Rows, kept: Rows, distances: Values) -> tuple[Pair, ...]:
    """Return the pairs farthest apart, one for each kept sample, so that the picture is not of one corner."""
    order = np.lexsort((dropped, -distances))
    return _pairs(names, dropped, kept, distances, _distinct(kept, order))


def _distinct(kept: Rows, order: Rows) -> list[int]:
    seen: set[int] = set()
    chosen: list[int] = []
    for position in map(int, order):
        if len(chosen) == PAIRS:
            break
        if int(kept[position]) not in seen:
            seen.add(int(kept[position]))
            chosen.append(position)
    return chosen


def _pairs(
    names: Sequence[str], dropped: Rows, kept: Rows, distances: Values, chosen: Sequence[int]
) -> tuple[Pair, ...]:
    return tuple(
        Pair(kept=names[int(kept[p])], dropped=names[int(dropped[p])], distance=float(distances[p]))
        for p in chosen
    )
