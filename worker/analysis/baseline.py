"""Random draws of the selection's size from the same candidates: what the selection has to beat."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from worker.analysis.distances import Embeddings, Rows, Values, to_closest, to_closest_other
from worker.device import Device
from worker.facts import Baseline, Headline, HeadlineName
from worker.selection.rules import Windows
from worker.selection.windows import most_apart

STAGE = 101
MANY_DRAWS = 100
FEW_DRAWS = 20
FEW_DRAWS_FROM = 20_000
MAX_PAIRS = 2_000_000_000
MAX_MEASURED = 20_000
MIN_MEASURED = 1_000


@dataclass(frozen=True, slots=True)
class Draws:
    """What the random draws gave, one array a draw, and the input rows on which coverage was measured.

    `rows` are the draws themselves, in the order in which they were drawn: any prefix is a smaller uniform draw, of
    sequences any prefix of whole ones.
    """

    rows: tuple[Rows, ...]
    diversity: tuple[Values, ...]
    coverage: tuple[Values, ...]
    measured: Rows


def draw(
    embeddings: Embeddings,
    *,
    size: int,
    candidates: Rows,
    inputs: Rows,
    preselected: Rows,
    windows: Windows | None = None,
    seed: int,
    device: Device,
) -> Draws:
    """Measure seeded uniform draws of `size` candidates, each joined with the preselected rows.

    Where `windows` are given, whole ones are drawn, none of which shares a row with another; `size` is that of some of
    them. Draws know no quotas, groups and gaps.

    100 draws below 20,000 candidates, 20 from there on. Coverage is measured on all input rows where all draws
    together compare at most MAX_PAIRS pairs, otherwise on a seeded sample of them; diversity likewise.
    """
    rng = np.random.Generator(np.random.PCG64([seed, STAGE]))
    number = _draws(len(candidates))
    kept_size = size + len(preselected)
    measured = _sample(inputs, _affordable(number * kept_size), rng)
    rows, diversity, coverage = [], [], []
    for _ in range(number if size else 0):
        if windows is None:
            drawn = rng.choice(candidates, size, replace=False)
        else:
            drawn = _sequences(windows, size // windows.length, rng)
        rows.append(drawn)
        ascending = np.sort(drawn)
        kept = np.concatenate([ascending, preselected])
        asked = _sample(ascending, _affordable(number * kept_size), rng)
        diversity.append(to_closest_other(embeddings, asked, kept, device=device))
        coverage.append(to_closest(embeddings, measured, kept, device=device)[0])
    return Draws(rows=tuple(rows), diversity=tuple(diversity), coverage=tuple(coverage), measured=measured)


def _sequences(windows: Windows, count: int, rng: np.random.Generator) -> Rows:
    """Draw windows one after another, passing over those that share a row with an earlier one.

    If that leaves no room for so many, draw from as many as there can be beside each other.
    """
    taken = np.zeros(int(windows.starts[-1]) + windows.length, np.bool_)
    starts: list[int] = []
    for start in rng.permutation(windows.starts).tolist():
        if len(starts) == count:
            break
        rows = slice(start, start + windows.length)
        if not taken[start] and not taken[rows.stop - 1]:
            taken[rows] = True
            starts.append(start)
    if len(starts) < count:
        starts = rng.choice(most_apart(windows), count, replace=False).tolist()
    return (np.array(starts)[:, None] + np.arange(windows.length)).ravel()


def compare(draws: Draws, *, diversity: Values, coverage: Values, input_rows: int) -> Baseline:
    """Set the selection's distances beside those of the draws; `coverage` is on the rows that the draws used."""
    headlines = []
    if draws.diversity and len(draws.diversity[0]) and len(diversity):
        means = [float(one.mean()) for one in draws.diversity]
        headlines.append(_headline("diversity_mean", float(diversity.mean()), means, higher_is_better=True))
    if draws.coverage and len(coverage):
        for name, number in _COVERAGE.items():
            found = [number(one) for one in draws.coverage]
            headlines.append(_headline(name, number(coverage), found, higher_is_better=False))
    return Baseline(
        draws=len(draws.coverage),
        measured_rows=len(draws.measured),
        input_rows=input_rows,
        headlines=tuple(headlines),
    )


def _mean(values: Values) -> float:
    return float(values.mean())


def _p95(values: Values) -> float:
    return float(np.percentile(values, 95))


def _max(values: Values) -> float:
    return float(values.max())


_COVERAGE: dict[HeadlineName, Callable[[Values], float]] = {
    "coverage_mean": _mean,
    "coverage_p95": _p95,
    "coverage_max": _max,
}


def _headline(
    name: HeadlineName, selected: float, random: Sequence[float], *, higher_is_better: bool
) -> Headline:
    low, high = (float(p) for p in np.percentile(random, (2.5, 97.5)))
    sign = 1 if higher_is_better else -1
    # The same rows summed in another order differ in the last digits; that is not better.
    slack = 1e-9 * max(1e-300, abs(selected))
    return Headline(
        name=name,
        higher_is_better=higher_is_better,
        selected=selected,
        random_mean=float(np.mean(random)),
        random_low=low,
        random_high=high,
        better_than=sum(sign * (selected - one) > slack for one in random),
    )


def _draws(candidates: int) -> int:
    return MANY_DRAWS if candidates < FEW_DRAWS_FROM else FEW_DRAWS


def _affordable(pairs_a_row: int) -> int:
    return min(MAX_MEASURED, max(MIN_MEASURED, MAX_PAIRS // max(1, pairs_a_row)))


def _sample(rows: Rows, size: int, rng: np.random.Generator) -> Rows:
    return rows if len(rows) <= size else np.sort(rng.choice(rows, size, replace=False))
