"""Reads finished facets from the output."""

import json
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from worker.errors import JobFailed
from worker.facets import FORMAT_VERSION
from worker.storage.store import ObjectStore


def read_facet(store: ObjectStore, key: str) -> pa.Table:
    """Return a facet's table, one row a source.

    Raises:
        JobFailed: the object is damaged, or of a newer format.
    """
    try:
        table = pq.read_table(BytesIO(store.get(key)))
        version = about(table)["format_version"]
    except (pa.ArrowException, KeyError, TypeError, ValueError, OSError) as error:
        raise JobFailed(f"{store.url}{key} is damaged ({error}); delete it and run the job again") from error
    if version > FORMAT_VERSION:
        raise JobFailed(f"{key}: format {version}; this framesift reads up to {FORMAT_VERSION}: update it")
    return table


def about(table: pa.Table) -> dict[str, Any]:
    """Return what decides the values of a facet that was read, as `Facet.about` has it, and its kind as `facet`.

    Raises:
        KeyError, TypeError, ValueError: the table is no facet.
    """
    found: dict[str, Any] = json.loads(table.schema.metadata[b"framesift"])
    return found


def vectors_of(table: pa.Table) -> NDArray[np.float32]:
    """Return the (m, d) embeddings of an embedding facet; rows of sources that were left out hold anything."""
    column = table["embedding"].combine_chunks()
    flat = column.values.to_numpy(zero_copy_only=False)
    return flat.reshape(len(column), column.type.list_size)
