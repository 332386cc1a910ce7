"""The chunk step: read the sources of a chunk once, and write every facet that is missing."""

import json
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from worker.facets import Facet
from worker.layout import facet_key
from worker.manifest import Chunk
from worker.media.images import DecodeRequest
from worker.media.preprocessing import Preprocessing
from worker.reading import Read, Reader, Wanted
from worker.samples import Decoded, Skipped, SkipReason, Source
from worker.storage.store import ObjectStore
from worker.video.reading import FramePlace, VideoEnd
from worker.video.scanned import Traffic

PARQUET = "application/vnd.apache.parquet"

Embed = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""(b, h, w, 3) uint8 pixels to (b, d) float32 vectors."""


@dataclass(frozen=True, slots=True)
class Work:
    """A chunk and those of its facets that are missing."""

    chunk: Chunk
    facets: tuple[Facet, ...]


@dataclass(frozen=True, slots=True)
class Embedding:
    """A model that is ready, the pixels that it wants, and how many images it takes in one call."""

    embed: Embed
    preprocessing: Preprocessing
    batch_size: int


@dataclass(frozen=True, slots=True)
class ChunkDone:
    """A chunk whose facets are in the bucket."""

    chunk: Chunk
    skipped: Mapping[str, int]
    """How many images, videos and sampled frames were left out, by reason."""
    samples: int
    """How many images and frames were not."""
    traffic: tuple[tuple[str, Traffic], ...]
    """How the bytes of each video were read, by key."""

    @property
    def skipped_count(self) -> int:
        """How many images, videos and sampled frames were left out."""
        return sum(self.skipped.values())


def compute_chunks(
    work: Iterable[Work],
    *,
    reader: Reader,
    embedding: Embedding | None,
    output: ObjectStore,
    job_id: str,
    check: Callable[[], None] = lambda: None,
) -> Iterator[ChunkDone]:
    """Compute the missing facets of chunks, yielding each chunk once its facets are durable.

    Reading, decoding and the model overlap, across the borders of chunks too; facets are written while the next
    chunk is under way. `check` is called between batches, and before a facet is written; what it raises ends all. Memory: what `Reader` holds, one batch of pixels, and the columns of at most four chunks.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="write") as writer:
        writing: deque[Future[ChunkDone]] = deque()
        # Closed here, not when somebody forgets the error: until then, threads would go on reading and decoding.
        with closing(_finished(work, reader=reader, embedding=embedding, check=check)) as chunks:
            for finished in chunks:
                check()
                writing.append(writer.submit(_write, finished, output=output, job_id=job_id))
                while writing and (writing[0].done() or len(writing) > 2):
                    yield writing.popleft().result()
        while writing:
            yield writing.popleft().result()


_NOT_FINITE = Skipped(SkipReason.NOT_FINITE, "the model gave NaN or infinity")


@dataclass(slots=True)
class _Open:
    """A chunk under way: the rows that its sources gave so far, and the vectors of those that the model has seen."""

    work: Work
    reads: list["Row"] = field(default_factory=list)
    vectors: dict[int, NDArray[np.float32] | Skipped] = field(default_factory=dict)
    ends: list[tuple[Source, VideoEnd]] = field(default_factory=list)
    sources_done: int = 0
    awaited: int = 0

    @property
    def complete(self) -> bool:
        return self.sources_done == len(self.work.chunk.sources) and not self.awaited

    def take(self, read: Read["_Open"]) -> NDArray[np.uint8] | None:
        """Note what was read, and return the pixels that the model is to see."""
        self.sources_done += read.is_last
        if isinstance(read.result, VideoEnd):
            self.ends.append((read.source, read.result))
            return None
        pixels = read.result.pixels if isinstance(read.result, Decoded) else None
        result = _without_pixels(read.result) if isinstance(read.result, Decoded) else read.result
        self.reads.append(Row(read.source, read.frame, read.content, result))
        return pixels


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a chunk's facets: an image, a sampled frame, or a video that gave none."""

    source: Source
    frame: FramePlace | None
    content: str | None
    result: Decoded | Skipped

    @property
    def sample(self) -> str:
        """The sample's name."""
        return self.source.key if self.frame is None else self.frame.name


def _finished(
    work: Iterable[Work], *, reader: Reader, embedding: Embedding | None, check: Callable[[], None]
) -> Generator[_Open]:
    under_way: deque[_Open] = deque()
    batch: list[tuple[_Open, int, NDArray[np.uint8]]] = []
    batch_size = embedding.batch_size if embedding else 1

    def flush() -> None:
        check()
        if batch and embedding:
            vectors = embedding.embed(np.stack([pixels for _, _, pixels in batch]))
            for (opened, row, _), vector in zip(batch, vectors, strict=True):
                opened.vectors[row] = vector if np.isfinite(vector).all() else _NOT_FINITE
                opened.awaited -= 1
            batch.clear()

    wanted = _wanted(work, embedding.preprocessing if embedding else None, under_way)
    with closing(reader.read(wanted)) as reads:
        for read in reads:
            opened = read.tag
            pixels = opened.take(read)
            if pixels is not None:
                batch.append((opened, len(opened.reads) - 1, pixels))
                opened.awaited += 1
            if len(batch) >= batch_size:
                flush()
            while under_way and under_way[0].complete:
                yield under_way.popleft()
    flush()
    yield from under_way


def _wanted(
    work: Iterable[Work], preprocessing: Preprocessing | None, under_way: deque[_Open]
) -> Iterator[Wanted[_Open]]:
    for item in work:
        opened = _Open(item)
        under_way.append(opened)
        request = _request(item.facets, preprocessing)
        for source in item.chunk.sources:
            yield Wanted(source, request, opened)


def _request(facets: Iterable[Facet], preprocessing: Preprocessing | None) -> DecodeRequest:
    by_kind: dict[str, list[Facet]] = {"samples": [], "measure": [], "embedding": []}
    for facet in facets:
        by_kind[facet.kind].append(facet)
    return DecodeRequest(
        measures=tuple(name for facet in by_kind["samples"] for name in facet.measures),
        full_measures=tuple(name for facet in by_kind["measure"] for name in facet.measures),
        embed=preprocessing if by_kind["embedding"] else None,
    )


def _without_pixels(result: Decoded) -> Decoded:
    return Decoded(
        format=result.format,
        width=result.width,
        height=result.height,
        seen_px=result.seen_px,
        measures=result.measures,
        full_measures=result.full_measures,
        pixels=None,
    )


def _write(finished: _Open, *, output: ObjectStore, job_id: str) -> ChunkDone:
    chunk, rows, ends = finished.work.chunk, finished.reads, finished.ends
    skipped = [row.result for row in rows if isinstance(row.result, Skipped)]
    faults = [fault for _, end in ends for fault in end.faults]
    reasons = [*(one.reason for one in skipped), *(one.reason for one in faults)]
    owner = job_id if any(reason.volatile for reason in reasons) else None
    for facet in finished.work.facets:
        table = _table(facet, finished)
        output.put(
            facet_key(chunk.digest, facet.digest, owner), _parquet(table, facet, ends), media_type=PARQUET
        )
    return ChunkDone(
        chunk,
        skipped=Counter(one.reason.value for one in skipped),
        samples=len(rows) - len(skipped),
        traffic=tuple((source.key, end.traffic) for source, end in ends),
    )


def _table(facet: Facet, finished: _Open) -> pa.Table:
    """Return one row a sample, in the chunk's order; a skipped one has a reason and no values."""
    reads, vectors = finished.reads, finished.vectors if facet.kind == "embedding" else {}
    columns: dict[str, pa.Array] = {"sample": pa.array([read.sample for read in reads], pa.string())}
    decoded = [read.result if isinstance(read.result, Decoded) else None for read in reads]
    if facet.kind == "samples":
        columns |= _sample_columns(reads, decoded)
        columns |= {n: pa.array([d and d.measures[n] for d in decoded]) for n in facet.measures}
    elif facet.kind == "measure":
        columns |= {n: pa.array([d and d.full_measures[n] for d in decoded]) for n in facet.measures}
    else:
        columns["embedding"] = _vector_column([vectors.get(row) for row in range(len(reads))], facet)
    skipped = [
        next((one for one in (read.result, vectors.get(row)) if isinstance(one, Skipped)), None)
        for row, read in enumerate(reads)
    ]
    columns["reason"] = pa.array([s and s.reason.value for s in skipped], pa.string())
    columns["detail"] = pa.array([s and s.detail for s in skipped], pa.string())
    return pa.table(columns)


def _sample_columns(reads: list[Row], decoded: list[Decoded | None]) -> dict[str, pa.Array]:
    frames = [read.frame for read in reads]
    return {
        "source": pa.array([read.source.key for read in reads], pa.string()),
        "etag": pa.array([read.source.etag for read in reads], pa.string()),
        "stream": pa.array([f and f.stream for f in frames], pa.int32()),
        "frame_index": pa.array([f and f.index for f in frames], pa.int64()),
        "pts": pa.array([f and f.pts for f in frames], pa.int64()),
        "time_s": pa.array([f and f.time_s for f in frames], pa.float64()),
        "content": pa.array([read.content for read in reads], pa.string()),
        "format": pa.array([d and d.format for d in decoded], pa.string()),
        "seen_width": pa.array([d and d.seen_px[0] for d in decoded], pa.int32()),
        "seen_height": pa.array([d and d.seen_px[1] for d in decoded], pa.int32()),
    }


def _vector_column(vectors: list[NDArray[np.float32] | Skipped | None], facet: Facet) -> pa.Array:
    dimension = facet.about["identity"]["dimension"]
    valid = np.array([isinstance(vector, np.ndarray) for vector in vectors], np.bool_)
    flat = np.zeros((len(vectors), dimension), np.float32)
    for row, vector in enumerate(vectors):
        if isinstance(vector, np.ndarray):
            flat[row] = vector
    return pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), dimension, mask=pa.array(~valid))


def _parquet(table: pa.Table, facet: Facet, ends: Sequence[tuple[Source, VideoEnd]]) -> bytes:
    about = {"facet": facet.kind, **facet.about}
    if facet.kind == "samples" and ends:
        about["videos"] = [_told(source, end) for source, end in ends]
    out = BytesIO()
    described = table.replace_schema_metadata({"framesift": json.dumps(about, sort_keys=True)})
    pq.write_table(described, out, compression="zstd")
    return out.getvalue()


def _told(source: Source, end: VideoEnd) -> dict[str, Any]:
    return {
        "source": source.key,
        "frames": end.frames,
        "duration_s": end.duration_s,
        "timed": end.timed,
        "faults": [[fault.reason.value, fault.detail] for fault in end.faults],
    }
