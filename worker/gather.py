"""Gathers the finished chunks of a job into one table of samples and one matrix of embeddings."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from worker.ahead import ahead
from worker.datapool.state import Kept
from worker.errors import JobFailed
from worker.facet_files import about, read_facet, vectors_of
from worker.facets import Facet, stored_key
from worker.manifest import Chunk, Plan
from worker.media.extensions import kind_of
from worker.projection import Projection, fit, normalize
from worker.samples import LeftOut, SkipReason
from worker.storage.store import ObjectStore
from worker.video.names import video_of
from worker.video.tally import VideoRead, VideoTally, told

READ_AHEAD = 8
DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Gathered:
    """The pool of a job. Rows are in key order, the same in `samples` and `embedding`.

    `samples` has one row a sample: its name, source, ETag, which frame it is, and measures. `space` is (n + p, k) float32: the samples, then
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
    near_identical: tuple[LeftOut, ...] = ()
    videos: Mapping[str, VideoRead] = field(default_factory=dict)

    @property
    def embedding(self) -> NDArray[np.float32]:
        """(n, k) embeddings of the samples."""
        return self.space[: self.samples.num_rows]

    def reduced(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (m, k) float32 of (m, d) full outputs of the same model, in the space of `embedding`."""
        return reduced(self.projection, vectors, normalized=self.normalized)

    @property
    def damaged(self) -> list[LeftOut]:
        """The videos of which a part could be read, and what is wrong with them."""
        gone = {one.source for one in self.skipped}
        return [told(key, video) for key, video in self.videos.items() if video.faults and key not in gone]

    def without(self, given_up: Sequence[LeftOut]) -> "Gathered":
        """Return this with sources whose chunks failed: skipped, or for a video that was read in part a fault of it."""
        skipped, videos = list(self.skipped), dict(self.videos)
        gone = {one.source for one in skipped}
        for one in given_up:
            if one.source in videos and one.source not in gone:
                video = videos[one.source]
                videos[one.source] = replace(video, faults=(*video.faults, (one.reason, one.detail)))
            elif one.source not in gone:
                skipped.append(one)
        return replace(self, skipped=tuple(skipped), videos=videos)

    def left_out(self) -> list[LeftOut]:
        """Return what is not in the pool: skipped, damaged, near identical or a duplicate, in key order."""
        same = [
            LeftOut(name, DUPLICATE, f"the same content as {earlier}")
            for name, earlier in self.duplicates.items()
        ]
        everything = [*self.skipped, *self.damaged, *self.near_identical, *same]
        return sorted(everything, key=lambda one: one.source.encode("utf-8", "surrogatepass"))


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
    """Reads the facets of a job's chunks; memory is one table of samples, the reduced embeddings and 8 chunks.

    With `keep_whole_videos`, a frame is no duplicate of another one of its own video.
    """

    def __init__(
        self,
        store: ObjectStore,
        plan: Plan,
        facets: Sequence[Facet],
        *,
        existing: Collection[str],
        job_id: str,
        keep_whole_videos: bool = False,
    ) -> None:
        self._keep_whole_videos = keep_whole_videos
        self._store = store
        self._plan = plan
        self._facets = facets
        self._existing = existing
        self._job_id = job_id

    def gather(
        self, *, dimension: int | None, normalized: bool, kept: Kept, on_chunk: Callable[[], None]
    ) -> Gathered:
        """Drop skipped samples and exact duplicates, also of kept ones, and reduce the embeddings of the rest.

        The projection is the datapool's; where there is none it is fitted, and every embedding is read once more.
        `on_chunk` is called after each chunk read.

        Raises:
            JobFailed: a facet is missing, or of a newer format. NothingLeft: every source was skipped.
        """
        taken = _names_like_frames(self._plan)
        found = _Found(kept.contents, taken=taken, keep_whole_videos=self._keep_whole_videos)
        found.skipped += self._plan.left_out
        blocks = self._unique(found, on_chunk)
        projection = kept.projection
        if projection is None:
            projection = fit(blocks, dimension)
            space = _stacked(map(projection.apply, self._again(found, on_chunk)), found.count)
        else:
            parts = [projection.apply(rows) for rows in blocks]
            space = _stacked(iter([*parts, kept.embedding]), found.count + len(kept))
        if normalized:
            normalize(space[: found.count], out=space[: found.count])
        return Gathered(
            samples=pa.concat_tables(found.tables, promote_options="permissive").combine_chunks(),
            space=space,
            projection=projection,
            normalized=normalized,
            skipped=tuple(found.all_skipped()),
            duplicates=found.duplicates,
            full_size=frozenset(facet.name for facet in self._facets if facet.kind == "measure"),
            near_identical=tuple(found.near_identical),
            videos=found.videos(),
        )

    def full(self, names: Sequence[str], sources: Collection[str]) -> NDArray[np.float32]:
        """Return the (m, d) full embeddings of named samples of these sources, in the order of the names.

        Reads only the chunks that hold the sources.
        """
        facet = self._embedding()
        wanted = {name: place for place, name in enumerate(names)}
        holders = set(sources)
        chunks = [
            chunk for chunk in self._plan.chunks if any(source.key in holders for source in chunk.sources)
        ]
        found = np.empty((len(names), facet.about["identity"]["dimension"]), np.float32)
        read = ahead(lambda chunk: self._read(chunk, facet), chunks, threads=READ_AHEAD, depth=READ_AHEAD)
        for table in read:
            vectors = vectors_of(table)
            for row, name in enumerate(table["sample"].to_pylist()):
                if name in wanted:
                    found[wanted[name]] = vectors[row]
        return found

    def _unique(self, found: "_Found", on_chunk: Callable[[], None]) -> Iterator[NDArray[np.float32]]:
        """Yield the (m, d) embeddings of the samples that stay, noting everything else on the way."""
        for loaded in ahead(self._load, self._plan.chunks, threads=READ_AHEAD, depth=READ_AHEAD):
            on_chunk()
            table, vectors = _joined(self._facets, loaded)
            yield vectors[found.take(table)]
        if found.is_empty:
            raise NothingLeft(found.all_skipped())

    def _again(self, found: "_Found", on_chunk: Callable[[], None]) -> Iterator[NDArray[np.float32]]:
        """Yield the embeddings that stay once more."""
        facet = self._embedding()

        def load(chunk: Chunk) -> NDArray[np.float32]:
            return vectors_of(self._read(chunk, facet))

        chunks = ahead(load, self._plan.chunks, threads=READ_AHEAD, depth=READ_AHEAD)
        for vectors, kept in zip(chunks, found.kept, strict=True):
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


def _stacked(blocks: Iterator[NDArray[np.float32]], count: int) -> NDArray[np.float32]:
    """Return (count, k) rows out of blocks of them, at least one."""
    first = next(blocks)
    rows = np.empty((count, first.shape[1]), np.float32)
    filled = 0
    for block in chain([first], blocks):
        rows[filled : filled + len(block)] = block
        filled += len(block)
    return rows


def _names_like_frames(plan: Plan) -> frozenset[str]:
    """Return the keys of images that are called as frames of a video of the same plan are."""
    keys = [source.key for chunk in plan.chunks for source in chunk.sources]
    videos = {key for key in keys if kind_of(key) == "video"}
    return frozenset(key for key in keys if video_of(key) in videos) if videos else frozenset()


class _Row(NamedTuple):
    sample: str
    source: str
    pts: int | None
    content: str
    reason: str | None
    detail: str


class _Found:
    """What the chunks gave so far.

    `before` has the addresses of kept samples by the digest of their content, `taken` names of images that a frame of a
    video would have, too.
    """

    def __init__(self, before: Mapping[str, str], *, taken: Collection[str], keep_whole_videos: bool) -> None:
        self._taken = taken
        self.tables: list[pa.Table] = []
        self.kept: list[NDArray[np.bool_]] = []
        self.skipped: list[LeftOut] = []
        self.duplicates: dict[str, str] = {}
        self.near_identical: list[LeftOut] = []
        self._before = before
        self._keep_whole_videos = keep_whole_videos
        self._first: dict[str, tuple[str, str]] = {}
        self._videos: dict[str, VideoTally] = {}

    @property
    def is_empty(self) -> bool:
        """Whether not one sample could be read."""
        return not (self._first or self.duplicates)

    @property
    def count(self) -> int:
        """Samples that stay, of the chunks taken so far."""
        return sum(int(kept.sum()) for kept in self.kept)

    def take(self, table: pa.Table) -> NDArray[np.bool_]:
        """Return (n,) True for the rows of one chunk's table that stay in the pool."""
        kept = np.zeros(table.num_rows, np.bool_)
        for video in about(table).get("videos", ()):
            self._video(video["source"]).told(video)
        for row, values in enumerate(zip(*(table[name].to_pylist() for name in _Row._fields), strict=True)):
            kept[row] = self._stays(_Row(*values))
        self.kept.append(kept)
        self.tables.append(table.filter(pa.array(kept)).drop_columns(["reason", "detail"]))
        return kept

    def all_skipped(self) -> list[LeftOut]:
        """Return the sources that gave nothing, videos with only lost frames among them."""
        lost = [told(key, tally.read()) for key, tally in self._videos.items() if not tally.gave_frames]
        listed = {one.source for one in self.skipped}
        return [*self.skipped, *(one for one in lost if one.source not in listed)]

    def videos(self) -> dict[str, VideoRead]:
        """Return what became of each video."""
        return {key: tally.read() for key, tally in self._videos.items()}

    def _stays(self, row: "_Row") -> bool:
        if row.pts is not None and row.sample in self._taken:
            row = row._replace(reason=SkipReason.NAME_TAKEN.value, detail=f"an image is called {row.sample}")
        if row.pts is not None:
            self._video(row.source).count(row.reason, row.detail)
        if row.reason == SkipReason.NEAR_IDENTICAL.value:
            self.near_identical.append(LeftOut(row.sample, row.reason, row.detail))
        elif row.reason is not None:
            if row.pts is None:
                self.skipped.append(LeftOut(row.sample, row.reason, row.detail))
        elif row.content in self._before:
            self.duplicates[row.sample] = self._before[row.content]
        else:
            earlier, source = self._first.setdefault(row.content, (row.sample, row.source))
            if earlier == row.sample or (self._keep_whole_videos and source == row.source):
                return True
            self.duplicates[row.sample] = earlier
        return False

    def _video(self, key: str) -> VideoTally:
        return self._videos.setdefault(key, VideoTally())


def _joined(facets: Sequence[Facet], tables: Sequence[pa.Table]) -> tuple[pa.Table, NDArray[np.float32]]:
    """Join the facets of one chunk side by side; a sample that any of them left out has that one's reason."""
    (samples,) = (table for facet, table in zip(facets, tables, strict=True) if facet.kind == "samples")
    columns: dict[str, pa.ChunkedArray] = {name: samples[name] for name in samples.column_names}
    vectors = np.empty((0, 0), np.float32)
    for facet, table in zip(facets, tables, strict=True):
        if facet.kind != "samples":
            rows = _row_by_row(table, samples)
            vectors = vectors_of(rows) if facet.kind == "embedding" else vectors
            columns |= {name: pc.coalesce(columns[name], rows[name]) for name in ("reason", "detail")}
            columns |= {name: rows[name] for name in facet.measures}
    return pa.table(columns).replace_schema_metadata(samples.schema.metadata), vectors


def _row_by_row(table: pa.Table, samples: pa.Table) -> pa.Table:
    """Return the rows of a facet as the samples facet has them.

    They are the same, unless one of both could not open a video on its day: then it has one row for the whole of it, which
    stands for each of its frames.
    """
    if table["sample"].equals(samples["sample"]):
        return table
    own = pc.index_in(samples["sample"], value_set=table["sample"])
    whole = pc.index_in(samples["source"], value_set=table["sample"])
    return table.take(pc.coalesce(own, whole))
