"""The datapools that a job looks at, frozen when its selection begins: made again after a kill, it is the same selection."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from jobs.inputs import Embeddings
from jobs.selection import Selection
from jobs.spec import SelectionJob
from worker.datapool.version import (
    Version,
    existing_version,
    read_version,
    refuse_other_reduction,
    refuse_other_space,
    with_increments,
)
from worker.errors import JobFailed
from worker.facets import Facet
from worker.layout import job_key
from worker.storage.store import ObjectStore

FORMAT_VERSION = 1
FROZEN = "datapool.json"

Versions = Mapping[str, Version | None]
"""The datapools of a job by name; None for the one that its selection is to make."""


def current_versions(store: ObjectStore, job: SelectionJob, *, embedding: Facet) -> Versions:
    """Return the datapools of a job as they are now; `embedding` is the job's facet. No image and no vector is read.

    Raises:
        JobRejected: there is no such datapool to compare with, or it cannot be: another model, dimension or normalisation.
        JobFailed: a datapool is damaged, or of a newer format.
    """
    found: dict[str, Version | None] = {}
    if job.datapool is not None:
        own = read_version(store, job.datapool.name)
        if own is not None:
            refuse_other_space(own, embedding.about, at="datapool.name")
            refuse_other_reduction(own, job.embedding, at="datapool.name")
        found[job.datapool.name] = own
    for name, at in _asked_for(job.selection):
        if found.get(name) is None:
            version = existing_version(store, name, at=at)
            refuse_other_space(version, embedding.about, at=at)
            found[name] = version
    return found


def frozen_versions(store: ObjectStore, job: SelectionJob, job_id: str, *, embedding: Facet) -> Versions:
    """Return the datapools of a job as they were when its selection first began; freezes them if this is the first time.

    Raises:
        JobRejected, JobFailed: as `current_versions`; or the datapool was re-embedded meanwhile.
    """
    now = current_versions(store, job, embedding=embedding)
    key = job_key(job_id, FROZEN)
    if not now:
        return now
    if store.head(key) is None:
        store.put(key, _to_bytes(now), media_type="application/json")
        return now
    frozen = _from_bytes(store.get(key), place=store.url + key)
    return {name: _thawed(name, files, now.get(name)) for name, files in frozen.items()}


def own_size(job: SelectionJob, versions: Versions) -> int | None:
    """Return how many samples at most the datapool holds that a job selects against; None where there is none yet."""
    own = None if job.datapool is None else versions[job.datapool.name]
    return None if own is None else own.at_most


def _asked_for(selection: Selection) -> Iterator[tuple[str, str]]:
    """Yield the datapools that queries name, with their places in the job."""
    for place, entry in enumerate(selection.strategies):
        if isinstance(entry.input, Embeddings) and entry.input.query and entry.input.query.datapool:
            yield entry.input.query.datapool, f"selection.strategies.{place}.input.query.datapool"
    if selection.protected is not None and selection.protected.query.datapool:
        yield selection.protected.query.datapool, "selection.protected.query.datapool"


def _to_bytes(versions: Versions) -> bytes:
    pools = {
        name: None
        if version is None
        else {"generation": version.generation, "increments": [one.name for one in version.increments]}
        for name, version in versions.items()
    }
    return json.dumps({"format_version": FORMAT_VERSION, "pools": pools}, indent=1).encode() + b"\n"


def _from_bytes(body: bytes, *, place: str) -> dict[str, tuple[int, list[str]] | None]:
    try:
        stored = json.loads(body)
        if stored["format_version"] > FORMAT_VERSION:
            raise JobFailed(
                f"{place}: format {stored['format_version']}; this framesift reads up to {FORMAT_VERSION}: update it"
            )
        return {
            name: None if one is None else (one["generation"], one["increments"])
            for name, one in stored["pools"].items()
        }
    except (KeyError, TypeError, ValueError) as error:
        raise JobFailed(f"{place} is damaged: {error!r}") from error


def _thawed(name: str, frozen: tuple[int, list[str]] | None, now: Version | None) -> Version | None:
    if frozen is None:
        return None
    generation, files = frozen
    if now is None or now.generation != generation:
        raise JobFailed(
            f"the datapool {name!r} was re-embedded or deleted since this job began: run it again with --fresh"
        )
    return with_increments(replace(now, increments=()), files)
