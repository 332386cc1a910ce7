"""What an earlier job under the same output selected, as vectors of this job's model."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.contract import did_you_mean
from jobs.errors import JobRejected
from jobs.text import read_object
from worker.errors import JobFailed, StoreMissing
from worker.facet_files import about, read_facet, vectors_of
from worker.facets import Facet, stored_key
from worker.history import JOB, PLAN
from worker.layout import CHUNKS, JOBS, job_key, result_prefix
from worker.manifest import Chunk, plan_from_bytes
from worker.name_lines import from_lines
from worker.publish import DONE, SELECTED
from worker.space import described, same_space
from worker.storage.store import ObjectStore
from worker.video.names import source_of


@dataclass(frozen=True, slots=True)
class EarlierSelection:
    """A finished job's selection: for each chunk with selected samples the key of its embedding facet and their names."""

    job_id: str
    parts: tuple[tuple[str, frozenset[str]], ...]

    @property
    def names(self) -> list[str]:
        """The names of the selected samples, in the order of their keys."""
        return [name for _, names in self.parts for name in sorted(names)]

    def vectors(self, store: ObjectStore) -> NDArray[np.float32]:
        """Return the (m, d) full embeddings of the selected samples, in the order of their keys.

        Raises:
            JobFailed: a facet is damaged.
        """
        return np.concatenate([_chosen(read_facet(store, key), names) for key, names in self.parts])


StoredFacets = Mapping[str, list[str]]
"""The keys of the finished facets of each chunk, by the chunk's digest."""


def earlier_selection(
    store: ObjectStore, job_id: str, *, embedding: Facet, at: str, stored: StoredFacets | None = None
) -> EarlierSelection:
    """Find what a job selected, and its embeddings; reads no vector where they were made exactly as this job's are.

    `embedding` is this job's facet; `stored` saves a listing of all chunks, where it is known.

    Raises:
        JobRejected: no such job, it did not end, it selected nothing, another model embedded it, or its chunks are gone.
    """
    name = job_name(store, job_id, at=at)
    prefix = result_prefix(name, job_id)
    if store.head(prefix + DONE) is None or json.loads(store.get(prefix + DONE)).get("state") != "done":
        raise JobRejected(f"{at}: the job {job_id!r} did not end with a selection")
    selected = set(from_lines(store.get(prefix + SELECTED).decode()))
    if not selected:
        raise JobRejected(f"{at}: the job {job_id!r} selected nothing")
    plan = plan_from_bytes(store.get(job_key(job_id, PLAN)))
    by_chunk = stored_facets(store) if stored is None else stored
    parts = []
    by_source: dict[str, list[str]] = {}
    for sample in selected:
        by_source.setdefault(source_of(sample), []).append(sample)
        by_source.setdefault(sample, []).append(sample)  # an image may be called like a frame
    for chunk in plan.chunks:
        names = frozenset(name for source in chunk.sources for name in by_source.get(source.key, ()))
        if names:
            keys = by_chunk.get(chunk.digest, [])
            parts.append(
                (_embedding_of(store, chunk, keys, embedding=embedding, job_id=job_id, at=at), names)
            )
    return EarlierSelection(job_id, tuple(parts))


def embedding_keys(
    store: ObjectStore, job_id: str, *, embedding: Facet, at: str, stored: StoredFacets
) -> list[str]:
    """Return the keys of the embedding facets of all chunks of a job that has a plan, in the order of its sources.

    Raises:
        JobRejected: another model embedded it, or its chunks are gone.
    """
    plan = plan_from_bytes(store.get(job_key(job_id, PLAN)))
    return [
        _embedding_of(store, chunk, stored.get(chunk.digest, []), embedding=embedding, job_id=job_id, at=at)
        for chunk in plan.chunks
    ]


def stored_facets(store: ObjectStore) -> StoredFacets:
    """List the finished facets of every chunk."""
    by_chunk: dict[str, list[str]] = {}
    for key in sorted(info.key for info in store.list(CHUNKS)):
        by_chunk.setdefault(key.removeprefix(CHUNKS).partition("/")[0], []).append(key)
    return by_chunk


def job_name(store: ObjectStore, job_id: str, *, at: str) -> str:
    """Return the name of a job.

    Raises:
        JobRejected: there is none of this id; the text has the closest or the latest ones.
    """
    try:
        if store.head(job_key(job_id, JOB)) is not None:
            return str(read_object(store.get(job_key(job_id, JOB)))["name"])
        listed = [info.key for info in store.list(JOBS)]
    except StoreMissing:
        listed = []
    ids = sorted({key.removeprefix(JOBS).partition("/")[0] for key in listed})
    latest = f"; the latest are {', '.join(ids[-3:])}" if ids else ""
    raise JobRejected(
        f"{at}: no job {job_id!r} under {store.url}, which has {len(ids)} jobs"
        + (did_you_mean(job_id, ids) or latest)
    )


def _embedding_of(
    store: ObjectStore, chunk: Chunk, keys: list[str], *, embedding: Facet, job_id: str, at: str
) -> str:
    """Return the key of the facet of a chunk that holds this job's kind of vectors.

    Limits of bytes and pixels are part of a facet's address, but only decide which sources have a vector, not which.
    """
    exact = stored_key(chunk.digest, embedding, existing=keys, job_id=job_id)
    if exact is not None:
        return exact
    others = dict(_embeddings(store, keys, job_id))
    for key, found in others.items():
        if same_space(found, embedding.about):
            return key
    if not others:
        raise JobRejected(
            f"{at}: the embeddings of the job {job_id!r} are no longer in {store.url}{CHUNKS}; run that job again"
        )
    models = " and ".join(sorted({described(found) for found in others.values()}))
    raise JobRejected(
        f"{at}: the job {job_id!r} was embedded by {models}, this job is by {described(embedding.about)};"
        " distances between them mean nothing"
    )


def _embeddings(store: ObjectStore, keys: list[str], job_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for key in keys:
        owner = key.rpartition("/")[2].split(".")[1:-1]
        if owner in ([], [job_id]):
            try:
                found = about(read_facet(store, key))
            except JobFailed:
                continue
            if found.get("facet") == "embedding":
                yield key, found


def _chosen(table: Any, names: frozenset[str]) -> NDArray[np.float32]:
    rows = [row for row, name in enumerate(table["sample"].to_pylist()) if name in names]
    return vectors_of(table)[rows]
