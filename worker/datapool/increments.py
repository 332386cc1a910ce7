"""One increment of a datapool as bytes: samples that were added, as Parquet, or removed, as JSON."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from worker.errors import JobFailed

FORMAT_VERSION = 1
MEASURE = "measure."
_TEXTS = ("sample", "source", "etag", "input", "connection", "content", "added_at")


@dataclass(frozen=True, slots=True)
class Identity:
    """Which sample of which input, with which bytes: `content` is the BLAKE2b-128 of them in hex."""

    input: str
    connection: str | None
    sample: str
    content: str

    @property
    def address(self) -> str:
        """The sample's name with the input that it came from, `s3://bucket/prefix/name`."""
        return self.input + self.sample


@dataclass(frozen=True, slots=True)
class Member:
    """A sample of a datapool, without its numbers. `added_at` is when its job was planned, UTC, ISO 8601."""

    identity: Identity
    source: str
    etag: str
    size: int
    added_at: str


@dataclass(frozen=True, slots=True)
class Members:
    """(m,) samples with (m,) float64 measures by name, NaN where there is none, and their (m, d) full embeddings."""

    members: tuple[Member, ...]
    measures: Mapping[str, NDArray[np.float64]]
    embeddings: NDArray[np.float32]

    def take(self, rows: NDArray[np.int64]) -> "Members":
        """Return some of the samples, in the order of the rows."""
        return Members(
            tuple(self.members[row] for row in rows.tolist()),
            {name: values[rows] for name, values in self.measures.items()},
            self.embeddings[rows],
        )


def members_to_bytes(added: Members, *, space: str) -> bytes:
    """Write samples as Parquet; equal samples give equal bytes. `space` is the digest of their model."""
    rows = [{**asdict(one.identity), **asdict(one)} for one in added.members]
    columns: dict[str, pa.Array] = {
        name: pa.array([row[name] for row in rows], pa.string()) for name in _TEXTS
    }
    columns["size"] = pa.array([row["size"] for row in rows], pa.int64())
    for name, values in sorted(added.measures.items()):
        columns[MEASURE + name] = pa.array(values, pa.float64(), mask=np.isnan(values))
    dimension = added.embeddings.shape[1]
    columns["embedding"] = pa.FixedSizeListArray.from_arrays(pa.array(added.embeddings.ravel()), dimension)
    about = json.dumps({"format_version": FORMAT_VERSION, "space": space})
    out = BytesIO()
    pq.write_table(pa.table(columns).replace_schema_metadata({"framesift": about}), out, compression="zstd")
    return out.getvalue()


def members_from_bytes(body: bytes, *, space: str, place: str) -> Members:
    """Read what `members_to_bytes` wrote.

    Raises:
        JobFailed: damaged, of a newer format, or embedded by another model than the datapool.
    """
    try:
        table = pq.read_table(BytesIO(body))
        about = json.loads(table.schema.metadata[b"framesift"])
        _check_format(about["format_version"], place)
        if about["space"] != space:
            raise JobFailed(f"{place}: embedded by another model than the rest of the datapool")
        columns = {name: table[name].to_pylist() for name in (*_TEXTS, "size")}
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        members = tuple(
            Member(
                Identity(row["input"], row["connection"], row["sample"], row["content"]),
                row["source"],
                row["etag"],
                row["size"],
                row["added_at"],
            )
            for row in rows
        )
        measures = {
            name.removeprefix(MEASURE): table[name].to_numpy().astype(np.float64)
            for name in table.column_names
            if name.startswith(MEASURE)
        }
        vectors = table["embedding"].combine_chunks()
        flat = vectors.values.to_numpy(zero_copy_only=False)
        return Members(members, measures, flat.reshape(len(members), vectors.type.list_size))
    except (pa.ArrowException, KeyError, TypeError, ValueError, OSError) as error:
        raise JobFailed(f"{place} is damaged: {error}") from error


def removal_to_bytes(removed: Iterable[Identity]) -> bytes:
    """Write which samples were removed, as JSON."""
    stored = {"format_version": FORMAT_VERSION, "removed": [asdict(one) for one in removed]}
    return json.dumps(stored, indent=1, ensure_ascii=False).encode() + b"\n"


def removal_from_bytes(body: bytes, *, place: str) -> tuple[Identity, ...]:
    """Read what `removal_to_bytes` wrote.

    Raises:
        JobFailed: damaged, or of a newer format.
    """
    try:
        stored = json.loads(body)
        _check_format(stored["format_version"], place)
        return tuple(Identity(**one) for one in stored["removed"])
    except (KeyError, TypeError, ValueError) as error:
        raise JobFailed(f"{place} is damaged: {error!r}") from error


def _check_format(found: int, place: str) -> None:
    if found > FORMAT_VERSION:
        raise JobFailed(f"{place}: format {found}; this framesift reads up to {FORMAT_VERSION}: update it")
