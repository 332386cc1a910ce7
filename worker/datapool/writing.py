"""Writes to a datapool. Every change is one new file, so writers cannot undo each other's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jobs.blocks import Embedding
from worker.datapool.increments import Identity, Members, removal_to_bytes
from worker.datapool.state import increment_bytes
from worker.datapool.version import (
    POOL,
    PROJECTION,
    Version,
    read_version,
    refuse_other_reduction,
    refuse_other_space,
)
from worker.errors import JobRejected
from worker.layout import datapool_key
from worker.projection import Projection
from worker.storage.store import ObjectStore

PARQUET = "application/vnd.apache.parquet"
BINARY = "application/octet-stream"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Joining:
    """What one job adds to a datapool. `about` is its embedding facet's; `projection` becomes the pool's if it is new."""

    name: str
    job_id: str
    added: Members
    about: Mapping[str, Any]
    embedding: Embedding
    projection: Projection


def join(store: ObjectStore, joining: Joining) -> str | None:
    """Add a job's selection to a datapool, and make the datapool if there is none; return the new file's key.

    Doing it again changes nothing: a job has one increment, with the same bytes, under the number that it first took.
    Nothing is written, and None returned, where there is nothing to add to a datapool that exists. The file that makes
    a selection count is written last, so a kill leaves the datapool as it was.

    Only the making of a datapool needs a lease around it: of two first jobs at once the later projection stays.

    Raises:
        JobRejected: the datapool came to be meanwhile, with another model or reduction.
    """
    version = read_version(store, joining.name)
    if version is None:
        version = Version(
            joining.name, 1, joining.about, joining.embedding.dimension, joining.embedding.normalize
        )
        store.put(version.key(PROJECTION), joining.projection.to_bytes(), media_type=BINARY)
        store.put(datapool_key(version.name, POOL), version.to_bytes(), media_type=JSON)
    refuse_other_space(version, joining.about, at="datapool.name")
    refuse_other_reduction(version, joining.embedding, at="datapool.name")
    count = len(joining.added.members)
    if not count:
        return None
    own = [one for one in version.increments if one.origin == joining.job_id]
    key = version.key(own[0].name if own else f"v{version.next_number:06}-{joining.job_id}-{count}.parquet")
    store.put(key, increment_bytes(version, joining.added), media_type=PARQUET)
    return key


def remove(store: ObjectStore, version: Version, removed: Sequence[Identity], *, now: datetime) -> str:
    """Remove samples from a datapool; jobs that froze it before still see them. Return the new file's key."""
    if not removed:
        raise JobRejected("KEYS: nothing to remove")
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    key = version.key(f"v{version.next_number:06}-{stamp}-{len(removed)}.removed.json")
    store.put(key, removal_to_bytes(removed), media_type=JSON)
    return key
