"""The manifest of an S3 Inventory: which files list a bucket, and what their columns hold.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html describes it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import md5
from typing import Any

from jobs.contract import shown
from worker.errors import JobRejected, ObjectChanged, ObjectMissing
from worker.intake.object_rows import NEEDED, Field, Row, rows_of_csv, rows_of_parquet
from worker.storage.store import ObjectStore

MAX_MANIFEST_BYTES = 64 * 2**20
MAX_SCHEMA_CHARS = 16_384
MAX_FILE_BYTES = 2**31
"""S3 itself begins a new file there."""

_CSV: dict[str, Field] = {
    "Bucket": "bucket",
    "Key": "key",
    "ETag": "etag",
    "Size": "size",
    "LastModifiedDate": "modified",
    "IsLatest": "is_latest",
    "IsDeleteMarker": "is_deleted",
}
_PARQUET: dict[Field, str] = {
    "bucket": "bucket",
    "key": "key",
    "etag": "e_tag",
    "size": "size",
    "modified": "last_modified_date",
    "is_latest": "is_latest",
    "is_deleted": "is_delete_marker",
}


@dataclass(frozen=True, slots=True)
class InventoryFile:
    """One file of an inventory; `md5` is None where the manifest does not tell it."""

    key: str
    size: int
    md5: str | None


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a manifest says. `fields` are those of the columns of a CSV, in order; empty for Parquet."""

    source: str
    destination: str
    files: tuple[InventoryFile, ...]
    fields: tuple[Field | None, ...]


def parse_inventory(body: bytes, *, at: str) -> Inventory:
    """Read a manifest.json.

    Raises:
        JobRejected: not one, one of ORC files, or one whose columns do not suffice; the text starts with `at`.
    """
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise JobRejected(f"{at}: not JSON: {shown(str(error))}") from error
    if not isinstance(given, dict):
        raise JobRejected(f"{at}: should be a JSON object")
    kind, schema = _text(given, "fileFormat", at=at), _text(given, "fileSchema", at=at)
    match kind:
        case "CSV":
            fields = tuple(_CSV.get(name.strip()) for name in schema.split(","))
            _refuse_without(fields, schema, at=at)
        case "Parquet":
            fields = ()
        case _:
            raise JobRejected(f"{at}: fileFormat: should be CSV or Parquet (got {shown(kind)})")
    files = given.get("files")
    if not isinstance(files, list) or not all(isinstance(one, dict) for one in files):
        raise JobRejected(f"{at}: files: should be a list of objects")
    return Inventory(
        source=_text(given, "sourceBucket", at=at),
        destination=_text(given, "destinationBucket", at=at).removeprefix("arn:aws:s3:::"),
        files=tuple(_file(one, at=f"{at}: files.{place}") for place, one in enumerate(files)),
        fields=fields,
    )


def rows_of(inventory: Inventory, store: ObjectStore) -> Iterator[Row]:
    """Yield every row of an inventory whose files lie in `store`, a whole bucket; holds one file at a time.

    Raises:
        JobRejected: a file is missing, is not the one of the manifest, or cannot be read.
    """
    for file in inventory.files:
        at = f"{store.url}{file.key}"
        try:
            body = store.get(file.key, size=file.size)
        except (ObjectMissing, ObjectChanged) as error:
            raise JobRejected(f"datasource.listing: {error}") from error
        if file.md5 is not None and md5(body, usedforsecurity=False).hexdigest() != file.md5:
            raise JobRejected(f"{at}: is not the file of the manifest: its MD5 is not {file.md5}")
        if inventory.fields:
            yield from rows_of_csv(body, inventory.fields, at=at)
        else:
            yield from rows_of_parquet(body, _PARQUET, at=at)


def _text(given: dict[str, Any], name: str, *, at: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_SCHEMA_CHARS:
        raise JobRejected(
            f"{at}: {name}: should be text of 1 to {MAX_SCHEMA_CHARS} characters (got {shown(value)})"
        )
    return value


def _refuse_without(fields: tuple[Field | None, ...], schema: str, *, at: str) -> None:
    for name, field in _CSV.items():
        if fields.count(field) > 1:
            raise JobRejected(f"{at}: fileSchema: has {name} more than once (got {shown(schema)})")
        if field in NEEDED and field not in fields:
            raise JobRejected(
                f"{at}: fileSchema: lacks {name}; let the inventory report Size and ETag (got {shown(schema)})"
            )


def _file(given: dict[str, Any], *, at: str) -> InventoryFile:
    key, size, digest = given.get("key"), given.get("size"), given.get("MD5checksum")
    if not isinstance(key, str) or not key:
        raise JobRejected(f"{at}.key: should be text (got {shown(key)})")
    if type(size) is not int or not 0 <= size <= MAX_FILE_BYTES:
        raise JobRejected(f"{at}.size: should be 0 to {MAX_FILE_BYTES} bytes (got {shown(size)})")
    if digest is not None and not (isinstance(digest, str) and re.fullmatch(r"[0-9a-f]{32}", digest)):
        raise JobRejected(f"{at}.MD5checksum: should be 32 hex digits (got {shown(digest)})")
    return InventoryFile(key, size, digest)
