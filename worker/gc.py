"""Deletes chunks that no job needs any more."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from worker.history import PLAN
from worker.layout import CHUNKS, JOBS
from worker.manifest import plan_from_bytes
from worker.storage.store import ObjectInfo, ObjectStore

BATCH = 1000


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep deleted, or would delete."""

    objects: int
    bytes: int
    kept_objects: int


def sweep(store: ObjectStore, *, older_than: timedelta, dry_run: bool = False) -> Swept:
    """Delete the facets that are older than `older_than` and that no plan of that age or younger refers to.

    A chunk that is swept too early costs only its recomputation: nothing but time depends on it.

    Raises:
        StorageError, JobFailed: a plan cannot be read; then nothing is deleted.
    """
    before = datetime.now(UTC) - older_than
    needed = set(_needed(store, since=before))
    kept = objects = size = 0
    doomed: list[str] = []
    for info in store.list(CHUNKS):
        if info.modified_at >= before or _chunk(info) in needed:
            kept += 1
            continue
        objects += 1
        size += info.size
        doomed.append(info.key)
    if not dry_run:
        for start in range(0, len(doomed), BATCH):
            store.delete(doomed[start : start + BATCH])
    return Swept(objects, size, kept)


def _needed(store: ObjectStore, *, since: datetime) -> Iterator[str]:
    for info in list(store.list(JOBS)):
        if info.key.endswith(f"/{PLAN}") and info.modified_at >= since:
            for chunk in plan_from_bytes(store.get(info.key)).chunks:
                yield chunk.digest


def _chunk(info: ObjectInfo) -> str:
    return info.key.removeprefix(CHUNKS).partition("/")[0]
