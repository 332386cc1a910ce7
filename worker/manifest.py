"""The frozen input of a job: its sources, cut into chunks, as they lie in plan.parquet."""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, fields, replace
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.ids import digest
from worker.device import Precision
from worker.errors import JobFailed
from worker.media.extensions import kind_of
from worker.samples import LeftOut, Segment, SkipReason, Source

FORMAT_VERSION = 3
ROW_GROUP = 65_536
"""Rows that are read to find one chunk, about."""
NOT_UTF8 = "not UTF-8"
"""Stands among the extensions of what was ignored for names that no key can express."""

SEGMENT = tuple(field.name for field in fields(Segment))
"""Columns of the part of a video that a row is; all null for an image and for a whole video."""

SCHEMA = pa.schema(
    [
        pa.field("chunk", pa.int32(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("left_out", pa.string()),
        *(pa.field(name, pa.int64()) for name in SEGMENT),
    ]
)
OUTSIDE = -1
"""Stands for the chunk of a source that the plan leaves out; `left_out` says why in words."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The unit of work and commit. `digest` addresses it by content: the same keys and ETags, the same chunk."""

    index: int
    digest: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Terms:
    """What decides how every source of a plan is read, whichever machine reads it."""

    precision: Precision
    max_object_bytes: int
    max_pixels: int
    max_video_bytes: int = 2**40


@dataclass(frozen=True, slots=True)
class Plan:
    """The frozen input of a job."""

    chunks: tuple[Chunk, ...]
    ignored: dict[str, int]
    planned_at: str
    """UTC, ISO 8601."""
    terms: Terms
    expiring: tuple[tuple[Source, str], ...] = ()
    """Sources that are left out because the bucket will soon delete them, with a line that says when."""
    earlier: int = 0
    """Objects that were listed, but that an earlier job has finished with."""
    video: str = ""
    """How videos are read, as one text: part of the address of every chunk that has one."""

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """The sources that the plan itself leaves out."""
        return tuple(
            LeftOut(source.key, SkipReason.EXPIRING.value, detail) for source, detail in self.expiring
        )

    @property
    def nothing_new(self) -> bool:
        """Whether every object was left to earlier jobs, so that there is nothing to select from."""
        return not self.chunks

    @property
    def source_count(self) -> int:
        """Number of sources in all chunks; the segments of a video are one."""
        return sum(
            source.segment is None or source.segment.start is None
            for chunk in self.chunks
            for source in chunk.sources
        )


def sources_of(plan: Plan, keys: Collection[str]) -> dict[str, Source]:
    """Map keys to their sources, where the plan has them; a video is whole here."""
    wanted = set(keys)
    return {
        source.key: replace(source, segment=None)
        for chunk in plan.chunks
        for source in chunk.sources
        if source.key in wanted
    }


def chunk_digest(sources: Iterable[Source], video: str) -> str:
    """Return the digest of the sorted (key, ETag) list, and of how and which parts of its videos are read."""
    parts: list[str] = []
    for source in sources:
        parts += (source.key, source.etag)
        if kind_of(source.key) == "video":
            parts += (video, repr(source.segment and astuple(source.segment)))
    return digest(*parts)


def plan_to_bytes(plan: Plan) -> bytes:
    """Write a plan as Parquet."""
    rows: list[tuple[int, Source, str | None]] = [
        (chunk.index, source, None) for chunk in plan.chunks for source in chunk.sources
    ]
    rows += [(OUTSIDE, source, detail) for source, detail in plan.expiring]
    columns = [
        pa.array([chunk for chunk, _, _ in rows], pa.int32()),
        *(pa.array([getattr(source, name) for _, source, _ in rows]) for name in ("key", "etag", "size")),
        pa.array([detail for _, _, detail in rows], pa.string()),
        *(
            pa.array([getattr(source.segment, name, None) for _, source, _ in rows], pa.int64())
            for name in SEGMENT
        ),
    ]
    about = {
        "format_version": FORMAT_VERSION,
        "ignored": plan.ignored,
        "planned_at": plan.planned_at,
        "terms": asdict(plan.terms),
        "earlier": plan.earlier,
        "video": plan.video,
    }
    table = pa.Table.from_arrays(columns, schema=SCHEMA.with_metadata({"framesift": json.dumps(about)}))
    out = BytesIO()
    pq.write_table(table, out, compression="zstd", row_group_size=ROW_GROUP)
    return out.getvalue()


def plan_from_bytes(body: bytes, *, only: int | None = None) -> Plan:
    """Read a plan, or of its chunks `only` the one of this index, if there is one.

    Memory: about 500 bytes a source that is read, and a row group of 65,536 sources.

    Raises:
        JobFailed: not a plan, or one of a newer format.
    """
    table, about = _read(body, only=only)
    video = about.get("video", "")
    return Plan(
        tuple(_chunks(table, video)),
        about["ignored"],
        about["planned_at"],
        Terms(**about["terms"]),
        tuple(_expiring(table)),
        about.get("earlier", 0),
        video,
    )


def _read(body: bytes, *, only: int | None = None) -> tuple[pa.Table, dict[str, Any]]:
    """Return the table of a plan, or of one chunk of it, and what its metadata say."""
    try:
        table = pq.read_table(BytesIO(body), filters=None if only is None else [("chunk", "=", only)])
        about = json.loads((table.schema.metadata or {})[b"framesift"])
        version = about["format_version"]
        if version <= FORMAT_VERSION:
            Terms(**about["terms"])
            return table, about
    except (pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
        raise JobFailed(f"not a plan.parquet of framesift: {error}") from error
    raise JobFailed(f"the plan has format {version}, this framesift reads up to {FORMAT_VERSION}: update it")


def chunk_count(body: bytes) -> int:
    """Return how many chunks a plan has that `plan_from_bytes` can read; reads one number a source."""
    last = pc.max(pq.read_table(BytesIO(body), columns=["chunk"])["chunk"]).as_py()
    return 0 if last is None else int(last) + 1


def _chunks(table: pa.Table, video: str) -> Iterator[Chunk]:
    sources: dict[int, list[Source]] = {}
    for index, source in zip(table["chunk"].to_pylist(), _sources(table), strict=True):
        if index != OUTSIDE:
            sources.setdefault(index, []).append(source)
    for index, run in sources.items():
        yield Chunk(index, chunk_digest(run, video), tuple(run))


def _expiring(table: pa.Table) -> Iterator[tuple[Source, str]]:
    if "left_out" in table.column_names:  # plans of format 1 leave nothing out
        rows = table.filter(pc.equal(table["chunk"], OUTSIDE))
        yield from zip(_sources(rows), rows["left_out"].to_pylist(), strict=True)


def _sources(table: pa.Table) -> list[Source]:
    columns = (table[name].to_pylist() for name in ("key", "etag", "size"))
    return [Source(*row) for row in zip(*columns, _segments(table), strict=True)]


def _segments(table: pa.Table) -> Sequence[Segment | None]:
    if "stream" not in table.column_names or table["stream"].null_count == table.num_rows:
        return [None] * table.num_rows
    rows = zip(*(table[name].to_pylist() for name in SEGMENT), strict=True)
    return [None if stream is None else Segment(stream, *rest) for stream, *rest in rows]
