"""Objects as the rows of a file that somebody else has written: Parquet, or CSV in gzip. Nothing of it is trusted."""

import csv
import gzip
import re
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO, TextIOWrapper
from typing import Any, Literal
from urllib.parse import unquote_plus

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.contract import shown
from worker.errors import JobRejected
from worker.storage.store import ObjectInfo

Field = Literal["bucket", "key", "etag", "size", "modified", "is_latest", "is_deleted"]

NEEDED: tuple[Field, ...] = ("key", "etag", "size")
UNKNOWN_TIME = datetime.fromtimestamp(0, UTC)
"""Stands for the time of change that a file does not tell."""

MAX_KEY_BYTES = 4096
MAX_SIZE = 2**50
_MAX_LINE = 2**16
_MAX_COLUMN_BYTES = 2**31
_BATCH_ROWS = 2**14
_ETAG = re.compile(r"[!#-~]{1,256}")  # goes into a header: printable ASCII without space and quote


@dataclass(slots=True)
class Row:
    """One row as it was read: where it stands, `file` and `number`, for people, and values by field, of any type."""

    file: str
    number: int
    values: Mapping[Field, Any]

    @property
    def is_current(self) -> bool:
        """False for a version that another one has replaced, and for the mark of a deletion."""
        return self.values.get("is_latest") is not False and self.values.get("is_deleted") is not True

    def key(self) -> str:
        """Return the key that the row is about.

        Raises:
            JobRejected: it cannot be one; the text names file, row and value.
        """
        key = self.values["key"]
        if not _is_key(key):
            raise self.wrong("key", f"should be UTF-8 text of 1 to {MAX_KEY_BYTES} bytes")
        return str(key)

    def object(self, key: str) -> ObjectInfo:
        """Return what the row says of its object, under the name `key`; a time that is not told is `UNKNOWN_TIME`.

        Raises:
            JobRejected: a value cannot be; the text names file, row, field and value.
        """
        etag, size = self.values["etag"], self.values["size"]
        bare = etag.removeprefix("W/").strip('"') if isinstance(etag, str) else ""
        if not _ETAG.fullmatch(bare):
            raise self.wrong("etag", "should be 1 to 256 printable ASCII characters without spaces")
        if not isinstance(size, int) or not 0 <= size <= MAX_SIZE:
            raise self.wrong("size", f"should be a number of bytes, 0 to {MAX_SIZE}")
        return ObjectInfo(key, bare, size, self.values.get("modified") or UNKNOWN_TIME)

    def wrong(self, name: Field, should: str) -> JobRejected:
        """Return the refusal of one value."""
        value = self.values[name]
        given = shown(value) if isinstance(value, str | int | None) else type(value).__name__
        return JobRejected(f"{self.file}, row {self.number}: {name}: {should} (got {given})")


def _is_key(value: Any) -> bool:
    try:
        return isinstance(value, str) and 0 < len(value.encode()) <= MAX_KEY_BYTES
    except UnicodeEncodeError:  # what stands for bytes that are not UTF-8
        return False


def rows_of_parquet(body: bytes, columns: Mapping[Field, str], *, at: str) -> Iterator[Row]:
    """Yield the rows of a Parquet file; columns that are not asked for are not read.

    `columns` names the column of each field; those of `NEEDED` must be there, others may be absent.
    Memory beside the body: one column chunk, at most 2 GiB by the file's own account, and 16,384 rows.

    Raises:
        JobRejected: not Parquet, a column is missing or of another type; the text starts with `at`.
    """
    try:
        file = pq.ParquetFile(BytesIO(body), read_dictionary=_texts(body, columns, at=at))
        present = {field: name for field, name in columns.items() if name in file.schema_arrow.names}
        _refuse_large(file, set(present.values()), at=at)
        number = 0
        fields = tuple(present)
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=list(present.values())):
            lists = [_values(batch.column(name), at=f"{at}: column {name}") for name in present.values()]
            for values in zip(*lists, strict=True):
                number += 1
                yield Row(at, number, dict(zip(fields, values, strict=True)))
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        if isinstance(error, JobRejected):
            raise
        raise JobRejected(f"{at}: cannot be read as Parquet: {_first_line(error)}") from error


def rows_of_csv(body: bytes, fields: Sequence[Field | None], *, at: str) -> Iterator[Row]:
    """Yield the rows of a gzipped CSV file without header, as S3 Inventory writes it: every value text, keys URL-encoded.

    `fields` says what each column holds, None for what does not matter. Memory beside the body: one line, at most 64 KiB.

    Raises:
        JobRejected: not gzip, not UTF-8, a line that is too long or has another number of values.
    """
    try:
        with gzip.open(BytesIO(body)) as unpacked:
            for number, values in enumerate(_records(TextIOWrapper(unpacked, "utf-8", newline=""), at=at), 1):
                if len(values) != len(fields):
                    raise JobRejected(
                        f"{at}, row {number}: should have {len(fields)} values, as the schema has (got {len(values)})"
                    )
                named = {name: text for name, text in zip(fields, values, strict=True) if name}
                yield Row(at, number, {name: _from_text(name, text) for name, text in named.items()})
    except (OSError, EOFError, zlib.error, csv.Error, UnicodeDecodeError) as error:
        raise JobRejected(f"{at}: cannot be read as gzipped CSV: {_first_line(error)}") from error


def _texts(body: bytes, columns: Mapping[Field, str], *, at: str) -> list[str]:
    """Return the columns of text; read as dictionaries, so that a long value that repeats stays one value."""
    schema = pq.read_schema(BytesIO(body))
    for field in NEEDED:
        if columns[field] not in schema.names:
            raise JobRejected(
                f"{at}: has no column {columns[field]!r}; it has {shown(', '.join(schema.names))}"
            )
    texts = []
    for field, name in columns.items():
        if name in schema.names:
            if schema.names.count(name) > 1:
                raise JobRejected(f"{at}: has the column {name!r} more than once")
            found, (allowed, what) = schema.field(name).type, _TYPES[field]
            if not allowed(found):
                raise JobRejected(f"{at}: column {name!r}: should hold {what} (got {shown(str(found))})")
            if allowed is _is_text:
                texts.append(name)
    return texts


def _is_text(kind: pa.DataType) -> bool:
    whole = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(whole) or pa.types.is_large_string(whole))


_TYPES = {
    "bucket": (_is_text, "text"),
    "key": (_is_text, "text"),
    "etag": (_is_text, "text"),
    "size": (pa.types.is_integer, "whole numbers"),
    "modified": (pa.types.is_timestamp, "timestamps"),
    "is_latest": (pa.types.is_boolean, "true or false"),
    "is_deleted": (pa.types.is_boolean, "true or false"),
}


def _refuse_large(file: pq.ParquetFile, names: Collection[str], *, at: str) -> None:
    for group in range(file.metadata.num_row_groups):
        about = file.metadata.row_group(group)
        columns = [about.column(place) for place in range(about.num_columns)]
        largest = max(one.total_uncompressed_size for one in columns if one.path_in_schema in names)
        if largest > _MAX_COLUMN_BYTES:
            raise JobRejected(
                f"{at}: row group {group} has a column of {largest} bytes; at most {_MAX_COLUMN_BYTES} are read:"
                " write smaller row groups"
            )


def _values(column: pa.Array, *, at: str) -> list[Any]:
    if pa.types.is_dictionary(column.type):
        longest = pc.max(pc.binary_length(column.dictionary)).as_py() or 0
        if longest > MAX_KEY_BYTES:
            raise JobRejected(f"{at}: has a value of {longest} bytes; at most {MAX_KEY_BYTES} are allowed")
    if pa.types.is_timestamp(column.type):
        seconds = column.cast(pa.timestamp("s"), safe=False).cast(pa.int64()).to_pylist()
        return [None if value is None else datetime.fromtimestamp(value, UTC) for value in seconds]
    return column.to_pylist()


def _records(stream: TextIOWrapper, *, at: str) -> Iterator[list[str]]:
    number = 0
    while line := stream.readline(_MAX_LINE + 1):
        number += 1
        if len(line) > _MAX_LINE:
            raise JobRejected(f"{at}, row {number}: longer than {_MAX_LINE} characters")
        yield next(csv.reader([line], strict=True), [])


def _from_text(name: Field, text: str) -> Any:
    """Return what a value of a CSV says, or the text itself where it cannot be read; `Row` refuses that."""
    match name:
        case "key":
            return unquote_plus(text, errors="surrogateescape")
        case "size":
            return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else text
        case "is_latest" | "is_deleted":
            return {"true": True, "false": False}.get(text.lower(), text)
        case "modified":
            return _time(text)
        case _:
            return text


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _first_line(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return shown(text.splitlines()[0], max_chars=200)
