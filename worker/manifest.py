"""The frozen input of a job: its sources, cut into chunks, as they lie in plan.parquet."""

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.ids import digest
from worker.device import Precision
from worker.errors import JobFailed
from worker.samples import LeftOut, SkipReason, Source

FORMAT_VERSION = 2
ROW_GROUP = 65_536
"""Rows that are read to find one chunk, about."""
NOT_UTF8 = "not UTF-8"
"""Stands among the extensions of what was ignored for names that no key can express."""

SCHEMA = pa.schema(
    [
        pa.field("chunk", pa.int32(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("left_out", pa.string()),
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
        """Number of sources in all chunks."""
        return sum(len(chunk.sources) for chunk in self.chunks)


def sources_of(plan: Plan, names: Collection[str]) -> dict[str, Source]:
    """Map sample names to the sources they come from; an image's name is its key."""
    wanted = set(names)
    return {source.key: source for chunk in plan.chunks for source in chunk.sources if source.key in wanted}


def chunk_digest(sources: Iterable[Source]) -> str:
    """Return the digest of the sorted (key, ETag) list."""
    return digest(*(part for source in sources for part in (source.key, source.etag)))


def plan_to_bytes(plan: Plan) -> bytes:
    """Write a plan as Parquet."""
    rows: list[tuple[int, str, str, int, str | None]] = [
        (chunk.index, s.key, s.etag, s.size, None) for chunk in plan.chunks for s in chunk.sources
    ]
    rows += [(OUTSIDE, s.key, s.etag, s.size, detail) for s, detail in plan.expiring]
    columns = [pa.array([row[place] for row in rows], field.type) for place, field in enumerate(SCHEMA)]
    about = {
        "format_version": FORMAT_VERSION,
        "ignored": plan.ignored,
        "planned_at": plan.planned_at,
        "terms": asdict(plan.terms),
        "earlier": plan.earlier,
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
    return Plan(
        tuple(_chunks(table)),
        about["ignored"],
        about["planned_at"],
        Terms(**about["terms"]),
        tuple(_expiring(table)),
        about.get("earlier", 0),
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


def _chunks(table: pa.Table) -> Iterator[Chunk]:
    sources: dict[int, list[Source]] = {}
    for index, source in zip(table["chunk"].to_pylist(), _sources(table), strict=True):
        if index != OUTSIDE:
            sources.setdefault(index, []).append(source)
    for index, run in sources.items():
        yield Chunk(index, chunk_digest(run), tuple(run))


def _expiring(table: pa.Table) -> Iterator[tuple[Source, str]]:
    if "left_out" in table.column_names:  # plans of format 1 leave nothing out
        rows = table.filter(pc.equal(table["chunk"], OUTSIDE))
        yield from zip(_sources(rows), rows["left_out"].to_pylist(), strict=True)


def _sources(table: pa.Table) -> list[Source]:
    columns = (table[name].to_pylist() for name in ("key", "etag", "size"))
    return [Source(*row) for row in zip(*columns, strict=True)]
