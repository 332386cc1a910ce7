"""Gathers the finished chunks of a job into one table of samples and one matrix of embeddings."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from worker.ahead import ahead
from worker.errors import JobFailed
from worker.facet_files import read_facet, vectors_of
from worker.facets import Facet, stored_key
from worker.manifest import Chunk, Plan
from worker.projection import Projection, fit, normalize
from worker.storage.store import ObjectStore

READ_AHEAD = 8


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A source that is not in the pool, and why."""

    source: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Gathered:
    """The pool of a job. Rows are in key order, the same in `samples` and `embedding`.

    `samples` has one row a sample: its name, source, ETag and measures. `embedding` is (n, k) float32. `full_size`
    names the measures that were taken from full-size pixels. `normalized` says whether rows have length 1.
    `duplicates` maps samples to the earlier one with the same bytes, which stays.
    """

    samples: pa.Table
    embedding: NDArray[np.float32]
    projection: Projection
    normalized: bool
    skipped: tuple[LeftOut, ...]
    duplicates: Mapping[str, str]
    full_size: frozenset[str]

    def reduced(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (m, k) float32 of (m, d) full outputs of the same model, in the space of `embedding`."""
        projected = self.projection.apply(vectors)
        return normalize(projected) if self.normalized else projected

    def left_out(self) -> list[LeftOut]:
        """Return what is not in the pool, skipped or a duplicate, in key order."""
        same = [
            LeftOut(name, "duplicate", f"the same bytes as {earlier}")
            for name, earlier in self.duplicates.items()
        ]
        return sorted([*self.skipped, *same], key=lambda one: one.source.encode("utf-8", "surrogatepass"))


class NothingLeft(JobFailed):
    """No sample could be read; `skipped` says why for each source."""

    def __init__(self, skipped: Sequence[LeftOut]) -> None:
        counts = Counter(left_out.reason for left_out in skipped)
        reasons = ", ".join(f"{n} {reason}" for reason, n in sorted(counts.items()))
        super().__init__(f"no sample could be read: all {len(skipped)} sources were skipped ({reasons})")
        self.skipped = tuple(skipped)


class Gatherer:
    """Reads the facets of a job's chunks; memory is one table of samples, the reduced embeddings and 8 chunks."""

    def __init__(
        self,
        store: ObjectStore,
        plan: Plan,
        facets: Sequence[Facet],
        *,
        existing: Collection[str],
        job_id: str,
    ) -> None:
        self._store = store
        self._plan = plan
        self._facets = facets
        self._existing = existing
        self._job_id = job_id
        self._kept: list[NDArray[np.bool_]] = []

    def gather(self, *, dimension: int | None, normalized: bool, on_chunk: Callable[[], None]) -> Gathered:
        """Drop skipped samples and exact duplicates, fit the projection on the rest and apply it.

        Reads every embedding twice, once to fit and once to apply. `on_chunk` is called after each chunk read.

        Raises:
            JobFailed: a facet is missing, or of a newer format. NothingLeft: every source was skipped.
        """
        tables: list[pa.Table] = []
        skipped: list[LeftOut] = []
        duplicates: dict[str, str] = {}
        projection = fit(self._unique(tables, skipped, duplicates, on_chunk), dimension)
        samples = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
        embedding = np.empty((samples.num_rows, projection.dimension), np.float32)
        start = 0
        for rows in self._again(on_chunk):
            embedding[start : start + len(rows)] = projection.apply(rows)
            start += len(rows)
        return Gathered(
            samples=samples,
            embedding=normalize(embedding, out=embedding) if normalized else embedding,
            projection=projection,
            normalized=normalized,
            skipped=tuple(skipped),
            duplicates=duplicates,
            full_size=frozenset(facet.name for facet in self._facets if facet.kind == "measure"),
        )

    def _unique(
        self,
        tables: list[pa.Table],
        skipped: list[LeftOut],
        duplicates: dict[str, str],
        on_chunk: Callable[[], None],
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the (m, d) embeddings of the samples that stay, filling the lists on the way."""
        first: dict[str, str] = {}
        for loaded in ahead(self._load, self._plan.chunks, threads=READ_AHEAD, depth=READ_AHEAD):
            on_chunk()
            table, vectors = _joined(self._facets, loaded)
            names, contents, reasons, details = (
                table[name].to_pylist() for name in ("sample", "content", "reason", "detail")
            )
            kept = np.zeros(len(names), np.bool_)
            for row, (name, content, reason, detail) in enumerate(
                zip(names, contents, reasons, details, strict=True)
            ):
                if reason is not None:
                    skipped.append(LeftOut(name, reason, detail))
                elif (earlier := first.setdefault(content, name)) != name:
                    duplicates[name] = earlier
                else:
                    kept[row] = True
            self._kept.append(kept)
            tables.append(table.filter(pa.array(kept)).drop_columns(["reason", "detail"]))
            yield vectors[kept]
        if not first:
            raise NothingLeft(skipped)

    def _again(self, on_chunk: Callable[[], None]) -> Iterator[NDArray[np.float32]]:
        """Yield the embeddings that stay once more."""
        facet = next(facet for facet in self._facets if facet.kind == "embedding")

        def load(chunk: Chunk) -> NDArray[np.float32]:
            return vectors_of(self._read(chunk, facet))

        chunks = ahead(load, self._plan.chunks, threads=READ_AHEAD, depth=READ_AHEAD)
        for vectors, kept in zip(chunks, self._kept, strict=True):
            on_chunk()
            yield vectors[kept]

    def _load(self, chunk: Chunk) -> list[pa.Table]:
        return [self._read(chunk, facet) for facet in self._facets]

    def _read(self, chunk: Chunk, facet: Facet) -> pa.Table:
        key = stored_key(chunk.digest, facet, existing=self._existing, job_id=self._job_id)
        if key is None:
            raise JobFailed(
                f"chunk {chunk.index}: its {facet.kind} facet {facet.name!r} is not in {self._store.url}"
            )
        return read_facet(self._store, key)


def _joined(facets: Sequence[Facet], tables: Sequence[pa.Table]) -> tuple[pa.Table, NDArray[np.float32]]:
    """Join the facets of one chunk side by side; a sample that any of them left out has that one's reason."""
    columns: dict[str, pa.ChunkedArray] = {}
    vectors = np.empty((0, 0), np.float32)
    for facet, table in zip(facets, tables, strict=True):
        if facet.kind == "embedding":
            vectors = vectors_of(table)
        for name in table.column_names:
            if name in {"reason", "detail"} and name in columns:
                columns[name] = pc.coalesce(columns[name], table[name])
            elif name != "embedding":
                columns[name] = table[name]
    return pa.table(columns), vectors
