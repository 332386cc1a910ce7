"""Listing and cutting."""

import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.photos import make_photos
from worker.errors import JobRejected
from worker.intake.relevant import parse_relevant
from worker.manifest import Terms, chunk_count, plan_from_bytes, plan_to_bytes
from worker.plan import Listing, cut, list_sources, make_plan
from worker.samples import Source
from worker.storage.local import LocalStore

TERMS = Terms("float32", 10**9, 10**8)


def sources(count: int, *, first: int = 0) -> list[Source]:
    return [Source(f"night/{number:06}.jpg", f"etag{number}", 10) for number in range(first, first + count)]


def test_list_sources__keeps_images_and_videos_and_counts_the_rest(tmp_path: Path) -> None:
    make_photos(tmp_path, 2)
    (tmp_path / "labels.json").write_text("{}")
    (tmp_path / "clip.mp4").write_text("")
    (tmp_path / "no_extension").write_bytes(b"x")
    listing = list_sources(LocalStore(tmp_path))
    assert [source.key for source in listing.sources] == [
        "00000.jpg",
        "00001.jpg",
        "clip.mp4",
        "no_extension",
    ]
    assert listing.ignored == {".json": 1}


def test_list_sources__never_lists_its_own_folders(tmp_path: Path) -> None:
    make_photos(tmp_path, 1)
    make_photos(tmp_path, 1, prefix=".framesift/chunks/")
    make_photos(tmp_path, 1, prefix="old/.framesift/")
    make_photos(tmp_path, 1, prefix=".lightly/thumbnails/")
    assert [source.key for source in list_sources(LocalStore(tmp_path)).sources] == ["00000.jpg"]


def test_list_sources__applies_relevant_names(tmp_path: Path) -> None:
    make_photos(tmp_path, 3)
    make_photos(tmp_path, 2, prefix="day/")
    relevant = parse_relevant("00001.jpg\nday/*", at="list")
    keys = [source.key for source in list_sources(LocalStore(tmp_path), relevant).sources]
    assert keys == ["00001.jpg", "day/00000.jpg", "day/00001.jpg"]


def test_list_sources__refuses_an_empty_input(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(
        JobRejected, match=r"datasource\.input: no images or videos under .* \(only 1 \.txt\)"
    ):
        list_sources(LocalStore(tmp_path))


@given(st.integers(0, 600), st.sampled_from([1, 4, 32]))
def test_cut__loses_nothing_and_stays_within_bounds(count: int, target: int) -> None:
    runs = list(cut(sources(count), target=target))
    assert [source for run in runs for source in run] == sources(count)
    assert all(len(run) <= 4 * target for run in runs)
    assert all(len(run) >= target // 4 for run in runs[:-1])


def test_cut__an_insertion_changes_only_the_runs_it_falls_into() -> None:
    before = {tuple(run) for run in cut(sources(4000), target=64)}
    with_more = sorted(
        [*sources(4000), *(Source(f"night/002000_{n}.jpg", "new", 1) for n in range(50))], key=lambda s: s.key
    )
    after = [tuple(run) for run in cut(with_more, target=64)]
    changed = [run for run in after if run not in before]
    assert 1 <= len(changed) <= 4
    assert len(after) > 30


def test_make_plan__addresses_chunks_by_keys_and_etags() -> None:
    def digests(listed: list[Source]) -> list[str]:
        plan = make_plan(Listing(tuple(listed), {}), chunk_sources=64, planned_at="now", terms=TERMS)
        return [chunk.digest for chunk in plan.chunks]

    listed = sources(500)
    same = digests(listed)
    listed[0] = Source(listed[0].key, "another etag", 10)
    other = digests(listed)
    assert same[0] != other[0]
    assert same[1:] == other[1:]


def test_plan_to_bytes__reads_back_equal(tmp_path: Path) -> None:
    make_photos(tmp_path, 9, prefix="a b+%ü/")
    (tmp_path / "x.txt").write_text("")
    plan = make_plan(
        list_sources(LocalStore(tmp_path)),
        chunk_sources=2,
        planned_at="2026-11-22T00:00:00+00:00",
        terms=TERMS,
    )
    assert len(plan.chunks) > 1
    body = plan_to_bytes(plan)
    assert plan_from_bytes(body) == plan
    assert chunk_count(body) == len(plan.chunks)
    for chunk in plan.chunks:
        assert plan_from_bytes(body, only=chunk.index) == replace(plan, chunks=(chunk,))
    assert plan_from_bytes(body, only=len(plan.chunks)).chunks == ()
    assert plan_from_bytes(body, only=-1).chunks == ()


def test_plan__keeps_what_it_leaves_out(tmp_path: Path) -> None:
    make_photos(tmp_path, 5)
    found = list_sources(
        LocalStore(tmp_path), is_expiring=lambda info: "soon" if info.key < "00002" else None
    )
    plan = make_plan(found, chunk_sources=8, planned_at="now", terms=TERMS)
    again = plan_from_bytes(plan_to_bytes(plan))
    assert again == plan
    assert [source.key for chunk in again.chunks for source in chunk.sources] == [
        "00002.jpg", "00003.jpg", "00004.jpg",
    ]  # fmt: skip
    assert [(one.source, one.reason, one.detail) for one in again.left_out] == [
        ("00000.jpg", "expiring", "soon"),
        ("00001.jpg", "expiring", "soon"),
    ]


def test_plan__of_format_1_is_read(tmp_path: Path) -> None:
    make_photos(tmp_path, 5)
    plan = make_plan(list_sources(LocalStore(tmp_path)), chunk_sources=8, planned_at="now", terms=TERMS)
    table = pq.read_table(BytesIO(plan_to_bytes(plan)))
    about = json.loads(table.schema.metadata[b"framesift"])
    old = {"framesift": json.dumps({**about, "format_version": 1})}
    body = BytesIO()
    pq.write_table(table.drop_columns(["left_out"]).replace_schema_metadata(old), body)
    assert plan_from_bytes(body.getvalue()) == plan


def test_plan__of_nothing_new(tmp_path: Path) -> None:
    nothing = make_plan(Listing((), {}, earlier=7), chunk_sources=8, planned_at="now", terms=TERMS)
    again = plan_from_bytes(plan_to_bytes(nothing))
    assert again.nothing_new
    assert again.earlier == 7
