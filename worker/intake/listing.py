"""The objects of a job's input, as its store lists them or as another object does."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from jobs.datasource import ListingObject, Location
from worker.device import memory_bytes
from worker.errors import JobFailed, JobRejected, ObjectChanged, ObjectMissing, StoreMissing
from worker.intake.inventory import MAX_FILE_BYTES, MAX_MANIFEST_BYTES, parse_inventory, rows_of
from worker.intake.object_rows import Field, Row, rows_of_parquet
from worker.plan import BYTES_A_SOURCE, Listing, list_sources
from worker.prepare import Prepared, refused_where_missing, relevant_rules
from worker.settings import Settings
from worker.storage.connect import open_bucket
from worker.storage.local import LocalStore
from worker.storage.store import ObjectInfo, ObjectStore, Usage

OUTSIDE = "outside the input"
REPLACED = "replaced or deleted"

_COLUMNS: dict[Field, str] = {"key": "key", "etag": "etag", "size": "size", "modified": "last_modified"}


def list_input(
    prepared: Prepared, *, is_expiring: Callable[[ObjectInfo], str | None] | None = None
) -> Listing:
    """Return what a job is about: its input listed once, or read from `datasource.listing`; see `list_sources`.

    Raises:
        JobRejected: no such place, nothing to look at, or a listing that cannot be. StorageError: a store failed.
    """
    datasource = prepared.job.datasource
    with refused_where_missing("datasource.input"):
        relevant = relevant_rules(prepared)
        if datasource.listing is None:
            return list_sources(prepared.source, relevant, is_expiring=is_expiring)
        passed_over: Counter[str] = Counter()
        objects = objects_of(
            datasource.listing,
            datasource.input,
            settings=prepared.settings,
            usage=prepared.source.usage,
            passed_over=passed_over,
        )
        listing = list_sources(prepared.source, relevant, objects=objects, is_expiring=is_expiring)
        return replace(listing, passed_over=dict(sorted(passed_over.items())))


def objects_of(
    listing: ListingObject,
    input_: Location,
    *,
    settings: Settings,
    usage: Usage,
    passed_over: Counter[str],
) -> Iterator[ObjectInfo]:
    """Yield the objects of the input that a listing names, in its own order, with keys below the input.

    Rows for something else are counted in `passed_over`, requests in `usage`. Memory: one file of the listing, at
    most 2 GiB, with what `rows_of_parquet` or `rows_of_csv` states.

    Raises:
        JobRejected: the listing is not there or cannot be; the text names file, row and value.
        JobFailed: more objects than this machine's memory has room for as sources.
    """
    rows = _rows(listing, input_, settings=settings, usage=usage)
    most = (settings.memory_bytes or memory_bytes()) // BYTES_A_SOURCE
    for taken, info in enumerate(_below(rows, input_, passed_over), start=1):
        if taken > most:
            raise JobFailed(
                f"memory: {listing.url} lists more than {most:,} objects of the input, at {BYTES_A_SOURCE} bytes"
                " each all that there is room for; select from a smaller prefix"
            )
        yield info


def _rows(listing: ListingObject, input_: Location, *, settings: Settings, usage: Usage) -> Iterator[Row]:
    if not listing.is_s3:
        yield from _rows_of_object(LocalStore(listing.path.parent), listing.path.name, usage)
        return
    store = open_bucket(listing.bucket, "", connection=listing.connection, settings=settings)
    if not listing.is_inventory:
        yield from _rows_of_object(store, listing.key, usage)
        return
    store.usage = usage
    inventory = parse_inventory(_read(store, listing.key, MAX_MANIFEST_BYTES), at=listing.url)
    if inventory.destination != listing.bucket:
        raise JobRejected(
            f"{listing.url}: destinationBucket: should be the manifest's own bucket (got {inventory.destination!r})"
        )
    if inventory.source != input_.bucket:
        raise JobRejected(
            f"{listing.url}: sourceBucket: should be the input's, {input_.bucket!r} (got {inventory.source!r})"
        )
    yield from rows_of(inventory, store)


def _rows_of_object(store: ObjectStore, key: str, usage: Usage) -> Iterator[Row]:
    store.usage = usage
    yield from rows_of_parquet(_read(store, key, MAX_FILE_BYTES), _COLUMNS, at=f"{store.url}{key}")


def _read(store: ObjectStore, key: str, largest: int) -> bytes:
    try:
        found = store.head(key)
        if found is None:
            raise JobRejected(f"datasource.listing: no such object: {store.url}{key}")
        if found.size > largest:
            raise JobRejected(
                f"datasource.listing: {store.url}{key} has {found.size} bytes; at most {largest} are read"
            )
        return store.get(key, etag=found.etag, size=found.size)
    except (ObjectMissing, ObjectChanged, StoreMissing) as error:
        raise JobRejected(f"datasource.listing: {error}") from error


def _below(rows: Iterable[Row], input_: Location, passed_over: Counter[str]) -> Iterator[ObjectInfo]:
    prefix = input_.prefix if input_.is_s3 else ""
    for row in rows:
        if input_.is_s3 and "bucket" in row.values and row.values["bucket"] != input_.bucket:
            raise row.wrong("bucket", f"should be the input's, {input_.bucket!r}")
        if not row.is_current:
            passed_over[REPLACED] += 1
            continue
        whole = row.key()
        key = whole.removeprefix(prefix)
        if not whole.startswith(prefix) or not key:
            passed_over[OUTSIDE] += 1
        elif not input_.is_s3 and not _is_plain(key):
            raise row.wrong("key", "should be a path below the input, without empty, '.' and '..' segments")
        else:
            yield row.object(key)


def _is_plain(key: str) -> bool:
    return "\0" not in key and not {"", ".", ".."} & set(key.split("/"))
