"""A datapool in the space of another model: its samples are read again from where they came, as chunks are."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.datasource import Location
from jobs.ids import new_job_id
from jobs.spec import canonical_json, parse_job
from worker.datapool.increments import Member, Members
from worker.datapool.state import increment_bytes, living
from worker.datapool.version import POOL, PROJECTION, Version, read_version
from worker.datapool.writing import BINARY, JSON, PARQUET
from worker.device import choose_device
from worker.errors import JobFailed
from worker.facet_files import read_facet, vectors_of
from worker.facets import stored_key
from worker.layout import CHUNKS, datapool_key
from worker.manifest import Chunk
from worker.plan import cut_into_chunks
from worker.prepare import Prepared, prepare
from worker.projection import fit
from worker.runner import compute, load_model, missing_work, open_reader
from worker.samples import LeftOut, SkipReason, Source
from worker.settings import Settings
from worker.storage.store import ObjectStore

_PASSING = {SkipReason.OUT_OF_MEMORY, SkipReason.DECODE_TIMEOUT, SkipReason.DECODE_CRASHED}
"""What another try may mend: no reason to drop a sample that was kept."""

Origin = tuple[str, str | None]
"""The URL of an input, and the connection that it was read by."""


@dataclass(slots=True)
class Reembedded:
    """What came of it: the new version, and the samples that were dropped since they changed, vanished or fail now."""

    version: Version
    read_count: int = 0
    dropped: list[LeftOut] = field(default_factory=list)


def reembed(
    store: ObjectStore,
    version: Version,
    *,
    output: Location,
    model: Mapping[str, Any],
    settings: Settings,
    now: datetime,
) -> Reembedded:
    """Write the next generation of a datapool, embedded by another model; hold the datapool's lease meanwhile.

    The old generation stays, and stays in use, until the new one is complete: one write of pool.json makes it count.
    A run that was killed finds its finished chunks when it is started again. Which samples there are, and when they were
    added, does not change; neither do measures. Memory: the full embeddings of one increment.

    Raises:
        JobRejected: no such model, or an input that this machine cannot read.
        JobFailed: no sample could be read, a read failed in a way that another try may mend, or the datapool changed meanwhile.
    """
    run = _Run(output, model, settings, now)
    found = Reembedded(replace(version, generation=version.generation + 1, increments=()))
    projection = fit(_written(store, version, run, found), version.dimension)
    new = found.version
    store.put(new.key(PROJECTION), projection.to_bytes(), media_type=BINARY)
    current = read_version(store, version.name)
    if (
        current is None
        or current.increments != version.increments
        or current.generation != version.generation
    ):
        raise JobFailed(f"the datapool {version.name!r} changed while it was re-embedded: run this again")
    store.put(datapool_key(version.name, POOL), new.to_bytes(), media_type=JSON)
    store.delete([info.key for info in store.list(version.folder)])
    found.version = read_version(store, version.name) or new
    return found


def _written(
    store: ObjectStore, version: Version, run: "_Run", found: Reembedded
) -> Iterator[NDArray[np.float32]]:
    """Write each increment anew under its own name, and yield its embeddings."""
    additions = [one for one in version.increments if not one.removes]
    store.delete([info.key for info in store.list(found.version.folder)])  # of a run that was killed
    read_any = False
    for increment, members in zip(additions, living(store, version), strict=True):
        vectors, kept = run.embedded(members, found)
        if len(kept):
            read_any = True
            found.version = replace(found.version, about=run.about)
            added = replace(members.take(kept), embeddings=vectors[kept])
            name = f"v{increment.number:06}-{increment.origin}-{len(kept)}.parquet"
            store.put(found.version.key(name), increment_bytes(found.version, added), media_type=PARQUET)
            yield vectors[kept]
    if not read_any:
        raise JobFailed(
            f"the datapool {version.name!r} cannot be re-embedded: none of its samples could be read"
            f" ({len(found.dropped):,} changed, vanished or unreadable)"
        )


@dataclass(slots=True)
class _Run:
    """One run over the inputs that a datapool's samples came from."""

    output: Location
    model: Mapping[str, Any]
    settings: Settings
    now: datetime
    _prepared: dict[Origin, Prepared] = field(default_factory=dict)

    @property
    def about(self) -> Mapping[str, Any]:
        """What the new model's facets say of themselves; the same for every input."""
        return next(iter(self._prepared.values())).embedding_facet.about

    def embedded(self, members: Members, found: Reembedded) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the (m, d) new embeddings of (m,) samples, and the rows that have one."""
        by_origin: dict[Origin, list[int]] = defaultdict(list)
        for row, member in enumerate(members.members):
            by_origin[member.identity.input, member.identity.connection].append(row)
        new: dict[int, NDArray[np.float32]] = {}
        for origin, rows in by_origin.items():
            prepared = self._for(origin)
            own = {members.members[row].identity.sample: row for row in rows}
            told: dict[str, LeftOut] = {}
            for name, vector in self._vectors(prepared, [members.members[row] for row in rows], told, found):
                if name in own:
                    new[own[name]] = vector
            found.dropped += [
                _dropped(member, prepared, told)
                for row in rows
                if row not in new
                for member in [members.members[row]]
            ]
        kept = np.array(sorted(new), np.int64)
        width = self._dimension()
        vectors = np.zeros((len(members.members), width), np.float32)
        for row in kept.tolist():
            vectors[row] = new[row]
        return vectors, kept

    def _dimension(self) -> int:
        return next(iter(self._prepared.values())).identity.dimension if self._prepared else 0

    def _for(self, origin: Origin) -> Prepared:
        if origin not in self._prepared:
            url, connection = origin
            job = parse_job(
                {
                    "kind": "selection",
                    "name": "reembedding",
                    "datasource": {
                        "input": {"url": url, "connection": connection},
                        "output": self.output.model_dump(),
                    },
                    "embedding": {"model": dict(self.model)},
                    "selection": {
                        "n_samples": 1,
                        "strategies": [{"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}}],
                    },
                }
            )
            prepared = prepare(job, self.settings)
            self._prepared[origin] = replace(prepared, facets=(prepared.embedding_facet,))
        return self._prepared[origin]

    def _vectors(
        self, prepared: Prepared, members: list[Member], told: dict[str, LeftOut], found: Reembedded
    ) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Yield the embeddings by name, computing the chunks that are missing; note in `told` why something has none.

        Of a video, every frame is embedded.
        """
        sources = sorted(
            {Source(one.source, one.etag, one.size) for one in members}, key=lambda one: one.key.encode()
        )
        chunks = cut_into_chunks(sources, target=self.settings.chunk_sources, video=prepared.video_text)
        job_id = new_job_id(canonical_json(prepared.job), self.now)
        device = prepared.on(choose_device(self.settings.device))
        work = [
            item
            for chunk in chunks
            for item in missing_work(prepared, [chunk], job_id, prefix=f"{CHUNKS}{chunk.digest}/")
        ]
        found.read_count += sum(len(item.chunk.sources) for item in work)
        if work:
            with open_reader(prepared, device) as reader:
                model = partial(load_model, prepared, device)
                for _ in compute(prepared, work, job_id, reader=reader, model=model):
                    pass
        for chunk in chunks:
            yield from _of_chunk(prepared, chunk, job_id, told)


def _of_chunk(
    prepared: Prepared, chunk: Chunk, job_id: str, told: dict[str, LeftOut]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    facet = prepared.embedding_facet
    existing = {info.key for info in prepared.output.list(f"{CHUNKS}{chunk.digest}/")}
    key = stored_key(chunk.digest, facet, existing=existing, job_id=job_id)
    if key is None:
        raise JobFailed(f"chunk {chunk.digest}: its embeddings are gone from {prepared.output.url}")
    table = read_facet(prepared.output, key)
    vectors = vectors_of(table)
    for row, (name, reason, detail) in enumerate(
        zip(*(table[column].to_pylist() for column in ("sample", "reason", "detail")), strict=True)
    ):
        if reason is None:
            yield name, vectors[row]
        elif reason in _PASSING:
            raise JobFailed(f"{prepared.source.url}{name}: {reason}, {detail}; run this again")
        else:
            told[name] = LeftOut(prepared.source.url + name, reason, detail)


def _dropped(member: Member, prepared: Prepared, told: Mapping[str, LeftOut]) -> LeftOut:
    """Say why a sample has no new embedding: what was told of it, or of the video that it is a frame of."""
    known = told.get(member.identity.sample) or told.get(member.source)
    place = prepared.source.url + member.identity.sample
    if known is not None:
        return LeftOut(place, known.reason, known.detail)
    return LeftOut(place, SkipReason.MISSING.value, "the video has no frame of this name")
