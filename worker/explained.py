"""The explanation of the picks as columns of samples.parquet."""

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from worker.analysis.distances import Values
from worker.analysis.explain import Explanation

SLUG_LIMIT = 60


def with_explanation(table: pa.Table, found: Explanation, *, others: Sequence[str] = ()) -> pa.Table:
    """Return the table of the n samples of a pool with the columns of docs/report.md, null where nothing was picked.

    `others` are the names of the rows after them, which earlier jobs have kept.
    """
    count = table.num_rows
    names = pa.chunked_array([*table["sample"].chunks, pa.array(others, pa.string())])
    columns = {
        "distance_to_selected": _numbers(found.inserted, found.rows, count),
        "nearest_kept": _names(names, found.nearest_kept, found.rows, count),
        "nearest_kept_distance": _numbers(found.nearest_kept_distance, found.rows, count),
        "nearest_dropped": _names(names, found.nearest_dropped, found.rows, count),
        "nearest_dropped_distance": _numbers(found.nearest_dropped_distance, found.rows, count),
    }
    slugs = objective_slugs([effort.goal.name for effort in found.efforts])
    for slug, effort in zip(slugs, found.efforts, strict=True):
        columns[f"objective_{slug}_before"] = _numbers(effort.before, found.rows, count)
        columns[f"objective_{slug}_after"] = _numbers(effort.after, found.rows, count)
    if len(slugs) > 1:
        for slug, effort in zip(slugs, found.efforts, strict=True):
            columns[f"lead_{slug}"] = _numbers(effort.lead, found.rows, count)
        strategies = pa.array([effort.goal.name for effort in found.efforts])
        columns["decided_by"] = _names(strategies, found.decided_by, found.rows, count)
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table


def objective_slugs(names: list[str]) -> list[str]:
    """Return a name for columns a strategy: `balance of weather.kind` as `balance_of_weather_kind`, numbered if taken."""
    slugs: list[str] = []
    for name in names:
        slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:SLUG_LIMIT] or "strategy"
        number, free = 2, slug
        while free in slugs:
            free = f"{slug}_{number}"
            number += 1
        slugs.append(free)
    return slugs


def _numbers(values: Values, rows: NDArray[np.int64], count: int) -> pa.Array:
    column = np.full(count, np.nan)
    column[rows] = values
    return pa.array(column, mask=np.isnan(column))


def _names(
    names: pa.Array | pa.ChunkedArray, places: NDArray[np.int64], rows: NDArray[np.int64], count: int
) -> pa.Array:
    column = np.full(count, -1, np.int64)
    column[rows] = places
    return pc.take(names, pa.array(column, mask=column < 0))
