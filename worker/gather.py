"""Gathers the finished chunks of a job into one table of samples and one matrix of embeddings."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from worker.ahead import ahead
from worker.datapool.state import Kept
from worker.errors import JobFailed
from worker.facet_files import read_facet, vectors_of
from worker.facets import Facet, stored_key
from worker.manifest import Chunk, Plan
from worker.projection import Projection, fit, normalize
from worker.samples import LeftOut
from worker.storage.store import ObjectStore

READ_AHEAD = 8
DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Gathered:
    """The pool of a job. Rows are in key order, the same in `samples` and `embedding`.

    `samples` has one row a sample: its name, source, ETag and measures. `space` is (n + p, k) float32: the samples, then
    the p kept by earlier jobs. `full_size` names the measures that were taken from full-size pixels. `normalized` says
    whether rows have length 1. `duplicates` maps samples to the earlier one with the same bytes, which stays.
    """

    samples: pa.Table
    space: NDArray[np.float32]
    projection: Projection
    normalized: bool
    skipped: tuple[LeftOut, ...]
    duplicates: Mapping[str, str]
    full_size: frozenset[str]

    @property
    def embedding(self) -> NDArray[np.float32]:
        """(n, k) embeddings of the samples."""
        return self.space[: self.samples.num_rows]

    def reduced(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (m, k) float32 of (m, d) full outputs of the same model, in the space of `embedding`."""
        return reduced(self.projection, vectors, normalized=self.normalized)

    def left_out(self) -> list[LeftOut]:
        """Return what is not in the pool, skipped or a duplicate, in key order."""
        same = [
            LeftOut(name, DUPLICATE, f"the same bytes as {earlier}")
            for name, earlier in self.duplicates.items()
        ]
        return sorted([*self.skipped, *same], key=lambda one: one.source.encode("utf-8", "surrogatepass"))


def reduced(projection: Projection, vectors: NDArray[np.float32], *, normalized: bool) -> NDArray[np.float32]:
    """Return (m, k) float32 of (m, d) full outputs, projected and, where asked, at length 1."""
    projected = projection.apply(vectors)
    return normalize(projected) if normalized else projected


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

    def gather(
        self, *, dimension: int | None, normalized: bool, kept: Kept, on_chunk: Callable[[], None]
    ) -> Gathered:
        """Drop skipped samples and exact duplicates, also of kept ones, and reduce the embeddings of the rest.

        The projection is the datapool's; where there is none it is fitted, and every embedding is read once more.
        `on_chunk` is called after each chunk read.

        Raises:
            JobFailed: a facet is missing, or of a newer format. NothingLeft: every source was skipped.
        """
        tables: list[pa.Table] = []
        skipped = list(self._plan.left_out)
        duplicates: dict[str, str] = {}
        blocks = self._unique(tables, skipped, duplicates, kept.contents, on_chunk)
        projection = kept.projection
        if projection is None:
            projection = fit(blocks, dimension)
            blocks = self._again(on_chunk)
        space = np.empty((self._plan.source_count + len(kept), projection.dimension), np.float32)
        count = 0
        for rows in blocks:
            space[count : count + len(rows)] = projection.apply(rows)
            count += len(rows)
        if normalized:
            normalize(space[:count], out=space[:count])
        if len(kept):
            space[count : count + len(kept)] = kept.embedding
        return Gathered(
            samples=pa.concat_tables(tables, promote_options="permissive").combine_chunks(),
            space=space[: count + len(kept)],
            projection=projection,
            normalized=normalized,
            skipped=tuple(skipped),
            duplicates=duplicates,
            full_size=frozenset(facet.name for facet in self._facets if facet.kind == "measure"),
        )

    def full(self, names: Sequence[str]) -> NDArray[np.float32]:
        """Return the (m, d) full embeddings of named samples, in this order; reads only the chunks that hold them."""
        facet = self._embedding()
        wanted = {name: place for place, name in enumerate(names)}
        chunks = [
            chunk for chunk in self._plan.chunks if any(source.key in wanted for source in chunk.sources)
        ]
        found = np.empty((len(names), facet.about["identity"]["dimension"]), np.float32)
        read = ahead(lambda chunk: self._read(chunk, facet), chunks, threads=READ_AHEAD, depth=READ_AHEAD)
        for table in read:
            vectors = vectors_of(table)
            for row, name in enumerate(table["sample"].to_pylist()):
                if name in wanted:
                    found[wanted[name]] = vectors[row]
        return found

    def _unique(
        self,
        tables: list[pa.Table],
        skipped: list[LeftOut],
        duplicates: dict[str, str],
        before: Mapping[str, str],
        on_chunk: Callable[[], None],
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the (m, d) embeddings of the samples that stay, filling the lists on the way.

        `before` has the addresses of kept samples by the digest of their bytes: they stay, whatever is listed.
        """
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
                elif content in before:
                    duplicates[name] = before[content]
                elif (earlier := first.setdefault(content, name)) != name:
                    duplicates[name] = earlier
                else:
                    kept[row] = True
            self._kept.append(kept)
            tables.append(table.filter(pa.array(kept)).drop_columns(["reason", "detail"]))
            yield vectors[kept]
        if not first and not duplicates:
            raise NothingLeft(skipped)

    def _again(self, on_chunk: Callable[[], None]) -> Iterator[NDArray[np.float32]]:
        """Yield the embeddings that stay once more."""
        facet = self._embedding()

        def load(chunk: Chunk) -> NDArray[np.float32]:
            return vectors_of(self._read(chunk, facet))

        chunks = ahead(load, self._plan.chunks, threads=READ_AHEAD, depth=READ_AHEAD)
        for vectors, kept in zip(chunks, self._kept, strict=True):
            on_chunk()
            yield vectors[kept]

    def _embedding(self) -> Facet:
        return next(facet for facet in self._facets if facet.kind == "embedding")

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
