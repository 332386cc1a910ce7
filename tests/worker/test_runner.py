"""The whole way, from listing to report, in one process."""

import json
import os
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.photos import jpeg, make_photos
from tests.servers import S3Server
from tests.worker.runs import DIVERSITY, artefact, job, output_files, prepared, run_job, select, timeless
from worker.errors import JobFailed, JobRejected, StorageError
from worker.events import Events, Fields
from worker.layout import CHUNKS
from worker.runner import Made


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """40 photos, one of them twice, a broken one and a file that is no image."""
    folder = tmp_path / "in"
    make_photos(folder, 40, prefix="day/")
    (folder / "day" / "copy.jpg").write_bytes(jpeg(3))
    (folder / "day" / "broken.jpg").write_bytes(jpeg(5)[:300])
    (folder / "notes.txt").write_text("no image")
    return folder


def samples(made: Made) -> pa.Table:
    return pq.read_table(BytesIO(artefact(made, "samples.parquet")))


def skips(made: Made) -> Counter[str]:
    return Counter(one["reason"] for one in json.loads(artefact(made, "skipped.json")))


def measure(key: str, **strategy: Any) -> dict[str, Any]:
    return {"input": {"type": "METADATA", "key": f"lightly.{key}"}, "strategy": strategy}


def selection(n_samples: int, *strategies: dict[str, Any]) -> dict[str, Any]:
    return {"n_samples": n_samples, "strategies": list(strategies)}


def test_run__writes_every_artefact_and_counts_add_up(photos: Path, tmp_path: Path) -> None:
    outcome = run_job(job(photos, tmp_path / "out", report={"images": "thumb"}))
    result = tmp_path / "out" / "night" / outcome.job_id
    names = {
        "report.html", "report.pdf", "report.json", "report_v2.json", "selected.txt", "samples.parquet", "skipped.json",
        "log.jsonl", "done.json",
    }  # fmt: skip
    assert names == {path.name for path in result.iterdir()}
    report = json.loads((result / "report.json").read_text())
    counts = report["counts"]
    assert (counts["listed"], counts["ignored"], counts["duplicates"]) == (43, 1, 1)
    assert counts["skipped"] == {"truncated": 1}
    assert (counts["pool"], counts["candidates"], counts["selected"]) == (40, 40, 6)
    skipped = json.loads((result / "skipped.json").read_text())
    assert [(one["source"], one["reason"]) for one in skipped] == [
        ("day/broken.jpg", "truncated"),
        ("day/copy.jpg", "duplicate"),
    ]
    done = json.loads((result / "done.json").read_text())
    assert done["state"] == "done"
    assert [stage["name"] for stage in done["run"]["stages"]] == ["plan", "embed", "select", "report"]
    assert {one["name"] for one in done["artefacts"]} == names - {"done.json"}
    assert (result / "report.pdf").read_bytes().startswith(b"%PDF")
    assert "data:image/jpeg" in (result / "report.html").read_text()


def test_run__samples_and_selection_agree_and_picks_are_farthest_first(photos: Path, tmp_path: Path) -> None:
    made = select(prepared(job(photos, tmp_path / "out")))
    table = samples(made)
    picked = table.filter(table["selected_at"].is_valid()).sort_by("selected_at")
    assert picked["sample"].to_pylist() == artefact(made, "selected.txt").decode().split("\n")[:-1]
    assert picked["selected_at"].to_pylist() == [1, 2, 3, 4, 5, 6]
    assert table["width"].to_pylist() == [48] * 40
    rows = np.array(table["embedding"].to_pylist(), np.float64)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    picks = [0]
    while len(picks) < 6:
        nearest = ((rows[:, None] - rows[picks][None]) ** 2).sum(axis=2).min(axis=1)
        picks.append(int(nearest.argmax()))
    assert list(made.findings.selected) == [table["sample"][row].as_py() for row in picks]


RANDOM = {"input": {"type": "RANDOM"}, "strategy": {"type": "WEIGHTS"}}


@pytest.mark.parametrize(
    "change",
    [
        {"selection": selection(3, RANDOM)},
        {"embedding": {"model": {"type": "colour_histogram"}, "dimension": 4, "normalize": False}},
        {"seed": 5},
        {},
    ],
    ids=["strategy", "dimension", "seed", "again"],
)
def test_run__another_selection_reads_no_image_again(
    photos: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    select(prepared(job(photos, tmp_path / "out")))
    again = prepared(job(photos, tmp_path / "out", **change))
    made = select(again)
    assert again.source.usage.requests.get("GET", 0) == 0
    assert len(made.findings.selected) == (3 if "selection" in change else 6)


def test_run__one_more_measure_computes_only_that(photos: Path, tmp_path: Path) -> None:
    select(prepared(job(photos, tmp_path / "out")))
    before = output_files(tmp_path / "out" / CHUNKS)
    sharp = measure("sharpness", type="THRESHOLD", threshold=1, operation="BIGGER")
    made = select(prepared(job(photos, tmp_path / "out", selection=selection(6, sharp))))
    added = output_files(tmp_path / "out" / CHUNKS) - before
    facets = {pq.read_metadata(tmp_path / "out" / CHUNKS / name).metadata[b"framesift"] for name in added}
    assert [json.loads(facet)["measure"] for facet in facets] == ["sharpness"]
    seen = {one.name: one.seen for one in made.findings.content.analysis.measures}
    assert seen["sharpness"] == "full size"
    assert seen["contrast"] != "full size"


def test_run__new_photos_cost_only_their_chunks(photos: Path, tmp_path: Path) -> None:
    make_photos(photos, 200, first=1000, prefix="base/")
    select(prepared(job(photos, tmp_path / "out")))
    make_photos(photos, 5, first=5000, prefix="base/01050_")
    more = prepared(job(photos, tmp_path / "out"))
    select(more, fresh=True)
    assert 5 <= more.source.usage.requests["GET"] <= 5 + 3 * 32


def test_run__same_selection_and_numbers_from_a_folder_and_from_s3(
    photos: Path, tmp_path: Path, moto: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in moto.environment().items():
        monkeypatch.setenv(name, value)
    source, output = moto.make_bucket("photos-in"), moto.make_bucket("curation-out")
    remote = prepared(job(f"s3://{source}/x/", f"s3://{output}/y/"))
    for path in sorted(photos.rglob("*.*")):
        key = str(path.relative_to(photos))
        remote.source.put(key, path.read_bytes(), media_type="application/octet-stream")
    from_s3 = timeless(select(remote))
    from_folder = timeless(select(prepared(job(photos, tmp_path / "out"))))
    assert from_s3["selected.txt"] == from_folder["selected.txt"]
    assert from_s3["skipped.json"] == from_folder["skipped.json"]
    assert from_s3["content"]["analysis"] == from_folder["content"]["analysis"]
    assert from_s3["content"]["counts"] == from_folder["content"]["counts"]


class Stopped(Exception):
    pass


def stop_at(event: str) -> Events:
    def listener(record: dict[str, Fields]) -> None:
        if record["event"] == event:
            raise Stopped(event)

    return Events(listener)


@pytest.mark.parametrize("event", ["planned", "chunk_done", "stage_finished"])
def test_run__goes_on_after_a_stop_and_ends_the_same(photos: Path, tmp_path: Path, event: str) -> None:
    calm = timeless(select(prepared(job(photos, tmp_path / "calm"))))
    with pytest.raises(Stopped):
        select(prepared(job(photos, tmp_path / "out")), stop_at(event))
    made = select(prepared(job(photos, tmp_path / "out")))
    assert timeless(made) == calm
    assert made.attempt == (1 if event == "planned" else 2)
    assert len(list((tmp_path / "out" / "night").iterdir())) == 1


def test_run__sources_that_change_after_the_listing_are_skipped_for_this_job_only(
    photos: Path, tmp_path: Path
) -> None:
    document = job(photos, tmp_path / "out")
    with pytest.raises(Stopped):
        select(prepared(document), stop_at("planned"))
    body = (photos / "day" / "00001.jpg").read_bytes()
    times = (photos / "day" / "00001.jpg").stat()
    (photos / "day" / "00001.jpg").write_bytes(jpeg(777))
    (photos / "day" / "00002.jpg").unlink()
    assert skips(select(prepared(document))) == {"changed": 1, "missing": 1, "truncated": 1, "duplicate": 1}
    (photos / "day" / "00001.jpg").write_bytes(body)
    os.utime(photos / "day" / "00001.jpg", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert skips(select(prepared(document), fresh=True)) == {"truncated": 1, "duplicate": 1}


def test_run__a_source_folder_that_vanishes_fails_and_goes_on_when_it_is_back(
    photos: Path, tmp_path: Path
) -> None:
    document = job(photos, tmp_path / "out")
    with pytest.raises(Stopped):
        select(prepared(document), stop_at("planned"))
    photos.rename(tmp_path / "away")
    with pytest.raises(StorageError, match="no such folder"):
        select(prepared(document))
    (tmp_path / "away").rename(photos)
    assert skips(select(prepared(document))) == {"truncated": 1, "duplicate": 1}


def test_run__fresh_lists_again(photos: Path, tmp_path: Path) -> None:
    document = job(photos, tmp_path / "out")
    with pytest.raises(Stopped):
        select(prepared(document), stop_at("planned"))
    make_photos(photos, 1, first=900)
    assert select(prepared(document), fresh=True).findings.counts.pool == 41


def test_run__a_folder_of_bad_files_only_fails_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(b"")
    (tmp_path / "in" / "b.png").write_bytes(b"<html>")
    document = job(tmp_path / "in", tmp_path / "out")
    with pytest.raises(JobFailed, match=r"all 2 sources were skipped \(1 empty, 1 not_an_image\)"):
        select(prepared(document))
    (result,) = (tmp_path / "out" / "night").iterdir()
    assert json.loads((result / "done.json").read_text())["state"] == "failed"
    assert len(json.loads((result / "skipped.json").read_text())) == 2
    make_photos(tmp_path / "in", 3)
    assert select(prepared(document)).findings.counts.selected == 3


def test_run__more_than_there_are_gives_all_and_says_so(photos: Path, tmp_path: Path) -> None:
    made = select(prepared(job(photos, tmp_path / "out", selection=selection(500, DIVERSITY))))
    assert len(set(made.findings.selected)) == 40
    skipped, warning = made.findings.content.warnings
    assert skipped == "Skipped: 1 of 42 sources (1 truncated); see skipped.json."
    assert warning == "500 samples were asked for, but only 40 can be picked: all of them were selected."


def test_run__thresholds_alone_draw_uniformly_and_by_seed(photos: Path, tmp_path: Path) -> None:
    wide = measure("width", type="THRESHOLD", threshold=10, operation="BIGGER")
    picks = [
        select(
            prepared(job(photos, tmp_path / "out", seed=seed, selection=selection(6, wide)))
        ).findings.selected
        for seed in (1, 1, 2)
    ]
    assert picks[0] == picks[1] != picks[2]
    assert len(picks[0]) == 6


def test_run__a_threshold_that_nothing_passes_selects_nothing_and_still_reports(
    photos: Path, tmp_path: Path
) -> None:
    narrow = measure("width", type="THRESHOLD", threshold=10, operation="SMALLER")
    outcome = run_job(job(photos, tmp_path / "out", selection=selection(6, narrow)))
    assert outcome.selected == ()
    assert outcome.counts.dropped == 40
    result = tmp_path / "out" / "night" / outcome.job_id
    assert (result / "selected.txt").read_bytes() == b""
    assert "nothing was selected" in (result / "report.html").read_text()


def test_run__weights_by_a_measure_take_the_largest(photos: Path, tmp_path: Path) -> None:
    made = select(
        prepared(job(photos, tmp_path / "out", selection=selection(5, measure("meanRed", type="WEIGHTS"))))
    )
    table = samples(made).sort_by([("mean_red", "descending")])
    assert list(made.findings.selected) == table["sample"].to_pylist()[:5]


def test_run__one_sample(tmp_path: Path) -> None:
    make_photos(tmp_path / "in", 1)
    outcome = run_job(job(tmp_path / "in", tmp_path / "out"))
    assert outcome.selected == ("00000.jpg",)


@pytest.mark.parametrize(("name", "says"), [("nowhere", "no such folder"), ("empty", "no images")])
def test_run__an_input_without_images_is_refused_and_leaves_nothing(
    tmp_path: Path, name: str, says: str
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises((JobRejected, StorageError), match=says):
        select(prepared(job(tmp_path / name, tmp_path / "out")))
    assert not (tmp_path / "out").exists()


def test_run__names_are_one_line_each(tmp_path: Path) -> None:
    make_photos(tmp_path / "in", 1)
    (tmp_path / "in" / "two\nlines.jpg").write_bytes(jpeg(1))
    (tmp_path / "in" / "ü %+ .jpg").write_bytes(jpeg(2))
    made = select(prepared(job(tmp_path / "in", tmp_path / "out")))
    lines = artefact(made, "selected.txt").decode().split("\n")[:-1]
    assert sorted(lines) == sorted(['"two\\nlines.jpg"', "00000.jpg", "ü %+ .jpg"])


def test_run__relevant_filenames_lie_in_the_output_or_in_the_input(photos: Path, tmp_path: Path) -> None:
    document = job(photos, tmp_path / "out")
    document["datasource"]["relevant_filenames"] = ".lightly/relevant.txt"
    with pytest.raises(JobRejected, match="relevant_filenames"):
        select(prepared(document))
    for place, rule in ((photos, "day/ 0000*.jpg"), (tmp_path / "out", "day/ 0001*.jpg !*9.jpg")):
        (place / ".lightly").mkdir(parents=True, exist_ok=True)
        (place / ".lightly" / "relevant.txt").write_text(rule)
        first = "0000" if place == photos else "0001"
        chosen = samples(select(prepared(document), fresh=True))["sample"].to_pylist()
        assert all(name.startswith(f"day/{first}") for name in chosen)
        assert len(chosen) == (10 if place == photos else 9)


def test_run__a_damaged_chunk_is_named(photos: Path, tmp_path: Path) -> None:
    select(prepared(job(photos, tmp_path / "out")))
    damaged = min((tmp_path / "out" / CHUNKS).rglob("*.parquet"))
    damaged.write_bytes(damaged.read_bytes()[:50])
    with pytest.raises(JobFailed, match=rf"{damaged.name} is damaged .*; delete it and run the job again"):
        select(prepared(job(photos, tmp_path / "out")))
    damaged.unlink()
    assert select(prepared(job(photos, tmp_path / "out"))).findings.counts.selected == 6
