"""Listings that are read from an object instead of asking the store."""

import csv
import gzip
import json
from collections import Counter
from dataclasses import dataclass
from hashlib import md5
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.photos import jpeg, make_photos
from tests.servers import S3Server
from tests.worker.runs import artefact, job, prepared, select, timeless
from worker.check import forecast
from worker.errors import JobFailed, JobRejected
from worker.intake.listing import OUTSIDE, REPLACED, list_input
from worker.intake.object_rows import UNKNOWN_TIME
from worker.plan import list_sources
from worker.storage.connect import open_bucket
from worker.storage.s3 import S3Store
from worker.storage.store import ObjectInfo

CSV_SCHEMA = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass"
KEYS = ["a/00.jpg", "a b+c%/ü ß.jpg", "a/1.jpg", "z.jpg", *(f"n/{number:03}.jpg" for number in range(20))]


@dataclass(frozen=True)
class Buckets:
    """An input with photos below `in/`, some beside it, and a bucket for inventories and results."""

    source: S3Store
    other: S3Store

    def job(self, listing: str, **changes: Any) -> dict[str, Any]:
        document = job(f"s3://{self.source.bucket}/in/", f"s3://{self.other.bucket}/out/", **changes)
        document["datasource"]["listing"] = listing
        return document

    def put(self, key: str, body: bytes) -> str:
        self.other.put(key, body, media_type="application/octet-stream")
        return f"s3://{self.other.bucket}/{key}"


@pytest.fixture(scope="module")
def made(moto: S3Server) -> Buckets:
    names = moto.make_bucket("listed-input"), moto.make_bucket("listed-output")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in moto.environment().items():
            patch.setenv(name, value)
        stores = [
            open_bucket(name, "", connection=None, settings=prepared(job("/i", "/o")).settings)
            for name in names
        ]
    source, other = stores
    for number, key in enumerate(KEYS):
        source.put(f"in/{key}", jpeg(number), media_type="image/jpeg")
    source.put("in/notes.txt", b"no image", media_type="text/plain")
    source.put("beside/1.jpg", jpeg(99), media_type="image/jpeg")
    return Buckets(source, other)


@pytest.fixture
def buckets(made: Buckets, moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> Buckets:
    for name, value in moto.environment().items():
        monkeypatch.setenv(name, value)
    return made


def everything(buckets: Buckets) -> list[ObjectInfo]:
    return sorted(buckets.source.list(), key=lambda info: md5(info.key.encode()).digest())


def parquet(rows: list[ObjectInfo], **columns: Any) -> bytes:
    named = {
        "key": [info.key for info in rows],
        "etag": [f'"{info.etag}"' for info in rows],
        "size": [info.size for info in rows],
        **columns,
    }
    out = BytesIO()
    pq.write_table(pa.table({name: values for name, values in named.items() if values is not None}), out)
    return out.getvalue()


def table(**columns: Any) -> bytes:
    out = BytesIO()
    pq.write_table(pa.table({"key": ["in/a.jpg"], "etag": ["e"], "size": [1]} | columns), out)
    return out.getvalue()


def csv_rows(buckets: Buckets) -> list[list[str]]:
    bucket = buckets.source.bucket
    now = [
        [bucket, quote_plus(info.key), "v2", "true", "false", str(info.size), "2026-11-20T10:00:00.000Z", info.etag, "STANDARD"]
        for info in everything(buckets)
    ]  # fmt: skip
    old = [
        bucket,
        quote_plus("in/z.jpg"),
        "v1",
        "false",
        "false",
        "7",
        "2026-11-19T10:00:00.000Z",
        "old",
        "STANDARD",
    ]
    gone = [bucket, "in/deleted.jpg", "v3", "true", "true", "", "2026-11-20T10:00:00.000Z", "", ""]
    return [old, *now, gone]


def as_csv(rows: list[list[str]]) -> bytes:
    out = StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return gzip.compress(out.getvalue().encode())


def inventory(
    buckets: Buckets, *files: bytes, kind: str = "CSV", schema: str = CSV_SCHEMA, **changes: Any
) -> str:
    """Put files and their manifest into the bucket; return the manifest's URL."""
    listed = []
    for number, body in enumerate(files):
        key = f"inventory/data/{number}-{md5(body).hexdigest()}.{kind.lower()}"
        buckets.put(key, body)
        listed.append({"key": key, "size": len(body), "MD5checksum": md5(body).hexdigest()})
    manifest = {
        "sourceBucket": buckets.source.bucket,
        "destinationBucket": f"arn:aws:s3:::{buckets.other.bucket}",
        "version": "2016-11-30",
        "creationTimestamp": "1763600000000",
        "fileFormat": kind,
        "fileSchema": schema,
        "files": listed,
        **changes,
    }
    return buckets.put("inventory/2026-11-20T01-00Z/manifest.json", json.dumps(manifest).encode())


def refused(document: dict[str, Any]) -> str:
    with pytest.raises(JobRejected) as caught:
        list_input(prepared(document))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def in_two(buckets: Buckets) -> str:
    rows = csv_rows(buckets)
    return inventory(buckets, as_csv(rows[:9]), as_csv(rows[9:]))


def in_parquet(buckets: Buckets) -> str:
    infos = everything(buckets)
    out = BytesIO()
    columns = {
        "bucket": [buckets.source.bucket] * (len(infos) + 1),
        "key": [*(info.key for info in infos), "in/z.jpg"],
        "is_latest": [*(True for _ in infos), False],
        "is_delete_marker": [False] * (len(infos) + 1),
        "size": [*(info.size for info in infos), None],
        "last_modified_date": pa.array(
            [*(info.modified_at for info in infos), None], pa.timestamp("ms", "UTC")
        ),
        "e_tag": [*(info.etag for info in infos), None],
        "storage_class": ["STANDARD"] * (len(infos) + 1),
    }
    pq.write_table(pa.table(columns), out, row_group_size=10)
    return inventory(buckets, out.getvalue(), kind="Parquet", schema="message s3.inventory { ... }")


def plain(buckets: Buckets) -> str:
    return buckets.put("lists/all.parquet", parquet(everything(buckets), owner=["me"] * (len(KEYS) + 2)))


@pytest.mark.parametrize("make", [plain, in_two, in_parquet])
def test_list_input__finds_what_a_listing_finds_without_asking_the_input(buckets: Buckets, make: Any) -> None:
    ready = prepared(buckets.job(make(buckets)))
    found = list_input(ready)
    assert "LIST" not in ready.source.usage.requests
    asked = list_sources(S3Store(buckets.source.bucket, "in/", ready.source._client))
    assert (found.sources, found.ignored) == (asked.sources, asked.ignored)
    assert len(found.sources) == len(KEYS)
    assert found.passed_over[OUTSIDE] == 1
    assert found.passed_over.get(REPLACED, 0) == {plain: 0, in_two: 2, in_parquet: 1}[make]


def test_run__by_a_manifest_ends_as_by_a_listing(buckets: Buckets) -> None:
    by_list = buckets.job("")
    del by_list["datasource"]["listing"]
    ready = prepared(buckets.job(in_two(buckets)))
    by_manifest = select(ready)
    assert "LIST" not in ready.source.usage.requests
    other = select(prepared(by_list))
    assert [c.digest for c in by_manifest.plan.chunks] == [c.digest for c in other.plan.chunks]
    assert timeless(by_manifest) == timeless(other)


def test_run__what_vanished_or_changed_since_is_skipped_with_its_reason(buckets: Buckets) -> None:
    rows = everything(buckets)
    stale = [
        ObjectInfo(info.key, "0" * 32 if info.key == "in/z.jpg" else info.etag, info.size, info.modified_at)
        for info in rows
    ]
    gone = ObjectInfo("in/gone.jpg", "1" * 32, 10, rows[0].modified_at)
    made = select(prepared(buckets.job(buckets.put("lists/stale.parquet", parquet([*stale, gone])))))
    skipped = {one["source"]: one["reason"] for one in json.loads(artefact(made, "skipped.json"))}
    assert skipped == {"gone.jpg": "missing", "z.jpg": "changed"}


def test_list_input__applies_relevant_names(buckets: Buckets) -> None:
    buckets.put("out/.lightly/relevant.txt", b"n/*\n")
    document = buckets.job(plain(buckets))
    document["datasource"]["relevant_filenames"] = ".lightly/relevant.txt"
    assert [one.key for one in list_input(prepared(document)).sources] == [f"n/{n:03}.jpg" for n in range(20)]


def test_forecast__counts_no_listing_of_the_input(buckets: Buckets) -> None:
    found = forecast(prepared(buckets.job(plain(buckets))))
    assert (found.sources, found.passed_over) == (len(KEYS), {OUTSIDE: 1})


def test_list_input__a_folder_and_the_plan_of_an_earlier_job(tmp_path: Path) -> None:
    make_photos(tmp_path / "in", 12)
    first = select(prepared(job(tmp_path / "in", tmp_path / "out")))
    make_photos(tmp_path / "in", 3, first=100)
    document = job(tmp_path / "in", tmp_path / "out", seed=1)
    plan = tmp_path / "out" / ".framesift" / "jobs" / first.results.job_id / "plan.parquet"
    document["datasource"]["listing"] = str(plan)
    assert len(list_input(prepared(document)).sources) == 12


def test_list_input__more_than_memory_has_room_for_fails(buckets: Buckets) -> None:
    ready = prepared(buckets.job(plain(buckets)), memory_bytes=6_000)
    with pytest.raises(JobFailed, match="lists more than 10 objects of the input"):
        list_input(ready)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"size": [-1]}, "row 1: size: should be a number of bytes, 0 to 1125899906842624 (got -1)"),
        ({"size": pa.array([2**63], pa.uint64())}, "row 1: size: should be"),
        ({"size": pa.array([None], pa.int64())}, "row 1: size: should be"),
        ({"size": [True]}, "column 'size': should hold whole numbers (got 'bool')"),
        ({"size": [1.5]}, "column 'size': should hold whole numbers (got 'double')"),
        ({"key": [5]}, "column 'key': should hold text (got 'int64')"),
        ({"key": [[b"x"]]}, "column 'key': should hold text"),
        ({"key": [""]}, "row 1: key: should be UTF-8 text of 1 to 4096 bytes (got '')"),
        ({"key": ["x" * 5000]}, "has a value of 5000 bytes; at most 4096 are allowed"),
        ({"etag": ["a\r\nX-Evil: 1"]}, "row 1: etag: should be 1 to 256 printable ASCII characters"),
        ({"etag": [""]}, "row 1: etag: should be"),
        ({"last_modified": ["monday"]}, "column 'last_modified': should hold timestamps (got 'string')"),
        ({"last_modified": pa.array([2**62], pa.timestamp("ms"))}, "cannot be read as Parquet"),
    ],
)  # fmt: skip
def test_list_input__wrong_rows_are_refused_by_place_and_value(
    buckets: Buckets, columns: dict[str, Any], says: str
) -> None:
    url = buckets.put("lists/wrong.parquet", table(**columns))
    text = refused(buckets.job(url))
    assert text.startswith(url)
    assert says in text


def test_list_input__rows_outside_the_input_may_be_anything(buckets: Buckets) -> None:
    rows = parquet(
        [ObjectInfo("in/a.jpg", "e", 1, UNKNOWN_TIME), ObjectInfo("other/b.jpg", "no etag", -1, UNKNOWN_TIME)]
    )
    found = list_input(prepared(buckets.job(buckets.put("lists/outside.parquet", rows))))
    assert [(one.key, one.etag, one.size) for one in found.sources] == [("a.jpg", "e", 1)]
    assert found.passed_over == {OUTSIDE: 1}


def test_list_input__a_missing_column_and_a_double_one(buckets: Buckets) -> None:
    out = BytesIO()
    pq.write_table(pa.table({"key": ["a"], "size": [1]}), out)
    assert "has no column 'etag'" in refused(buckets.job(buckets.put("lists/w.parquet", out.getvalue())))
    out = BytesIO()
    arrays = [pa.array(["a"]), pa.array(["b"]), pa.array(["e"]), pa.array([1])]
    pq.write_table(pa.Table.from_arrays(arrays, ["key", "key", "etag", "size"]), out)
    assert "has the column 'key' more than once" in refused(
        buckets.job(buckets.put("lists/w.parquet", out.getvalue()))
    )


def test_list_input__one_object_twice(buckets: Buckets) -> None:
    rows = everything(buckets)
    url = buckets.put(
        "lists/twice.parquet", parquet([*rows, next(one for one in rows if one.key == "in/z.jpg")])
    )
    assert refused(buckets.job(url)) == "datasource.listing: 'z.jpg' is listed twice"


@pytest.mark.parametrize("cut", [0, 4, 100, -9, -1])
def test_list_input__damaged_parquet(buckets: Buckets, cut: int) -> None:
    url = buckets.put("lists/damaged.parquet", parquet(everything(buckets))[:cut])
    assert "cannot be read as Parquet" in refused(buckets.job(url))


def test_list_input__every_flipped_byte_is_read_or_refused(buckets: Buckets, tmp_path: Path) -> None:
    whole = parquet(everything(buckets)[:5])
    document = job(tmp_path / "in", tmp_path / "out")
    document["datasource"]["listing"] = str(tmp_path / "x.parquet")
    ready = prepared(document)
    (tmp_path / "in").mkdir()
    outcomes: Counter[str] = Counter()
    for place in range(0, len(whole), 3):
        (tmp_path / "x.parquet").write_bytes(
            whole[:place] + bytes([whole[place] ^ 0x81]) + whole[place + 1 :]
        )
        try:
            list_input(ready)
            outcomes["read"] += 1
        except JobRejected:
            outcomes["refused"] += 1
    assert outcomes["refused"] > 100


def test_list_input__a_value_that_repeats_a_million_times_stays_small(buckets: Buckets) -> None:
    long = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000_000, pa.int32()), pa.array(["x" * 1_000_000]))
    out = BytesIO()
    pq.write_table(pa.table({"key": long, "etag": ["e"] * 1_000_000, "size": [1] * 1_000_000}), out)
    url = buckets.put("lists/bomb.parquet", out.getvalue())
    before = pa.default_memory_pool().max_memory()
    assert "has a value of 1000000 bytes" in refused(buckets.job(url))
    assert pa.default_memory_pool().max_memory() - before < 500e6


def test_list_input__local_keys_cannot_lead_out(tmp_path: Path) -> None:
    make_photos(tmp_path / "in", 1)
    document = job(tmp_path / "in", tmp_path / "out")
    document["datasource"]["listing"] = str(tmp_path / "x.parquet")
    for key in ("../x.jpg", "/etc/x.jpg", "a//b.jpg", "a\0.jpg"):
        (tmp_path / "x.parquet").write_bytes(table(key=[key]))
        assert "key: should be a path below the input" in refused(document)
    document["datasource"]["listing"] = str(tmp_path / "none.parquet")
    assert "datasource.listing: no such object" in refused(document)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"kind": "ORC"}, "fileFormat: should be CSV or Parquet (got 'ORC')"),
        (
            {"sourceBucket": "elsewhere"},
            "sourceBucket: should be the input's, 'listed-input' (got 'elsewhere')",
        ),
        ({"destinationBucket": "arn:aws:s3:::x-y"}, "destinationBucket: should be the manifest's own bucket"),
        ({"schema": "Bucket, Key, Size"}, "fileSchema: lacks ETag"),
        ({"schema": "Bucket, Key, Size, ETag, Key"}, "fileSchema: has Key more than once"),
        ({"files": [{"key": "inventory/none.gz", "size": 5}]}, "no such object"),
        ({"files": [{"key": "x", "size": -1}]}, "files.0.size: should be 0 to"),
        ({"files": [{"key": "x", "size": 1, "MD5checksum": "../x"}]}, "files.0.MD5checksum: should be"),
        ({"files": 7}, "files: should be a list of objects"),
        ({"fileSchema": None}, "fileSchema: should be text"),
    ],
)
def test_list_input__wrong_inventories(buckets: Buckets, changes: dict[str, Any], says: str) -> None:
    assert says in refused(buckets.job(inventory(buckets, as_csv(csv_rows(buckets)), **changes)))


def changed_row(**values: str) -> Any:
    def change(buckets: Buckets) -> bytes:
        names = CSV_SCHEMA.split(", ")
        row = csv_rows(buckets)[1]
        return as_csv([[values.get(name, text) for name, text in zip(names, row, strict=True)]])

    return change


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (lambda _: b"no gzip", "cannot be read as gzipped CSV"),
        (lambda b: as_csv(csv_rows(b))[:-20], "cannot be read as gzipped CSV"),
        (lambda _: gzip.compress(b'"\xff"\n'), "cannot be read as gzipped CSV"),
        (lambda _: gzip.compress(b"x" * 200_000), "row 1: longer than 65536 characters"),
        (lambda _: as_csv([["a", "b"]]), "row 1: should have 9 values, as the schema has (got 2)"),
        (changed_row(Bucket="b"), "row 1: bucket: should be the input's, 'listed-input' (got 'b')"),
        (changed_row(Size="-4"), "row 1: size: should be a number of bytes"),
        (changed_row(Size="9" * 30), "row 1: size: should be a number of bytes"),
        (changed_row(Key="in/%ff.jpg"), "row 1: key: should be UTF-8 text"),
        (changed_row(ETag=" "), "row 1: etag: should be"),
    ],
)  # fmt: skip
def test_list_input__wrong_inventory_files(buckets: Buckets, body: Any, says: str) -> None:
    assert says in refused(buckets.job(inventory(buckets, body(buckets))))


def test_list_input__an_inventory_file_that_was_replaced(buckets: Buckets) -> None:
    body = as_csv(csv_rows(buckets))
    files = [{"key": "inventory/data/swapped.gz", "size": len(body), "MD5checksum": "0" * 32}]
    buckets.put("inventory/data/swapped.gz", body)
    assert "is not the file of the manifest" in refused(buckets.job(inventory(buckets, files=files)))
