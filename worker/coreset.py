"""Picks for several finished jobs together, each a shard of a pool that is too large for one machine.

What the jobs selected need not be farthest-first picks of the space that is compared here, so only the union proves a lower
bound; the upper one holds for any selections.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from jobs.ids import is_job_id
from jobs.spec import SelectionJob, parse_job
from worker.ahead import ahead
from worker.device import Device
from worker.earlier import earlier_selection, embedding_keys, job_name, stored_facets
from worker.errors import JobRejected
from worker.facet_files import read_facet, vectors_of
from worker.facets import Facet
from worker.history import JOB, PLAN
from worker.layout import job_key
from worker.manifest import plan_from_bytes
from worker.prepare import prepare
from worker.projection import normalize
from worker.selection.coresets import join
from worker.selection.neighbours import nearest
from worker.settings import Settings
from worker.storage.store import ObjectStore

AT = "--jobs"
READ_AHEAD = 4
FARTHEST = 2.0
"""No two vectors of length 1 are farther apart."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One finished job. Each of its `samples` is within `radius` of one of the `selected`."""

    job: str
    input: str
    samples: int
    selected: int
    radius: float


@dataclass(frozen=True, slots=True)
class Pick:
    """A sample, and the job that selected it."""

    job: str
    sample: str


@dataclass(frozen=True, slots=True)
class Coreset:
    """The picks in order, and how they cover the samples of all jobs.

    Distances are between full embeddings at length 1, so 0 to 2. Every sample of every job is within `radius`, which was
    measured, and within `bound`, which follows from the radii of the jobs alone. No selection of as many covers
    all with less than `lowest`.
    """

    picks: tuple[Pick, ...]
    radius: float
    bound: float
    lowest: float
    shards: tuple[Shard, ...]


def select_of_jobs(
    store: ObjectStore, job_ids: Sequence[str], n_samples: int, *, settings: Settings, device: Device
) -> Coreset:
    """Pick `n_samples` by diversity among what the jobs selected; reads every stored embedding once.

    Jobs may have reduced their embeddings each by its own PCA, whose spaces cannot be compared; so the full outputs of
    the model count here, at length 1, whatever `embedding.normalize` and `dimension` say. Samples that a job left
    out as duplicates or by a threshold are covered too.

    Memory: 8 * d bytes a selected sample of all jobs, d being the model's own dimension, what `join` states, the
    keys of all finished facets, and a few chunks.

    Raises:
        JobRejected: a job is given twice, is not there or did not end with a selection, another model embedded it, or
            its chunks are gone. JobFailed: a facet is damaged.
    """
    _check(job_ids)
    embedding = _embedding_of(store, job_ids[0], settings)
    stored = stored_facets(store)
    earlier = [
        earlier_selection(store, job_id, embedding=embedding, at=AT, stored=stored) for job_id in job_ids
    ]
    chosen = [normalize(one.vectors(store)) for one in earlier]
    union = np.concatenate(chosen)
    owners = np.repeat(np.arange(len(chosen)), [len(vectors) for vectors in chosen])
    joined = join(union, owners, n_samples, device=device)
    shards, radius = [], 0.0
    for job_id, vectors in zip(job_ids, chosen, strict=True):
        keys = embedding_keys(store, job_id, embedding=embedding, at=AT, stored=stored)
        blocks = ahead(partial(_vectors, store), keys, threads=READ_AHEAD, depth=READ_AHEAD)
        samples, (own, all_) = _reach(blocks, (vectors, union[joined.rows]), device)
        shards.append(Shard(job_id, _job(store, job_id).datasource.input.url, samples, len(vectors), own))
        radius = max(radius, all_)
    names = [Pick(one.job_id, name) for one in earlier for name in one.names]
    return Coreset(
        picks=tuple(names[row] for row in joined.rows),
        radius=radius,
        bound=min(FARTHEST, joined.bound(np.array([shard.radius for shard in shards]))),
        lowest=joined.lowest,
        shards=tuple(shards),
    )


def _check(job_ids: Sequence[str]) -> None:
    for job_id in job_ids:
        if not is_job_id(job_id):
            raise JobRejected(f"{AT}: should be ids such as 20261122T041500Z-1a2b3c4d5e6f (got {job_id!r})")
        if job_ids.count(job_id) > 1:
            raise JobRejected(f"{AT}: {job_id!r} is given twice")


def _job(store: ObjectStore, job_id: str) -> SelectionJob:
    job_name(store, job_id, at=AT)  # refuses one that is not there
    job = parse_job(store.get(job_key(job_id, JOB)))
    if not isinstance(job, SelectionJob):
        raise JobRejected(f"{AT}: {job_id!r} is no selection")
    return job


def _embedding_of(store: ObjectStore, job_id: str, settings: Settings) -> Facet:
    job = _job(store, job_id)
    if store.head(job_key(job_id, PLAN)) is None:
        raise JobRejected(f"{AT}: the job {job_id!r} has no plan")
    terms = plan_from_bytes(store.get(job_key(job_id, PLAN))).terms
    return next(facet for facet in prepare(job, settings, terms=terms).facets if facet.kind == "embedding")


def _vectors(store: ObjectStore, key: str) -> NDArray[np.float32]:
    """Return the vectors of the samples that a facet has, without those that were left out."""
    table = read_facet(store, key)
    return vectors_of(table)[table["reason"].is_null().to_numpy()]


def _reach(
    blocks: Iterable[NDArray[np.float32]], centres: Sequence[NDArray[np.float32]], device: Device
) -> tuple[int, list[float]]:
    """Return how many vectors there are, and for each set of centres how far the farthest is from its nearest one."""
    count, radii = 0, [0.0] * len(centres)
    for block in blocks:
        if len(block):
            count += len(block)
            unit = normalize(block)
            for place, of in enumerate(centres):
                farthest = float(nearest(unit, of, 1, device=device)[0].max())
                radii[place] = max(radii[place], farthest)
    return count, radii
