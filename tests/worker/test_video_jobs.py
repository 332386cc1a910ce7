"""Jobs on videos, from the listing to the result, with real files."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.photos import make_photos
from tests.servers import S3Server, client_of
from tests.videos import Clip, make, shown_index
from tests.worker.runs import DIVERSITY, artefact, job, prepared, run_job, select, timeless
from worker.errors import JobFailed
from worker.runner import Made

ALL = [{"input": {"type": "RANDOM"}, "strategy": {"type": "WEIGHTS"}}]


def put(folder: Path, **clips: Clip | bytes) -> Path:
    """Write videos; `a__mp4` is a.mp4."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, clip in clips.items():
        (folder / name.replace("__", ".")).write_bytes(clip if isinstance(clip, bytes) else make(clip))
    return folder


def samples(made: Made) -> pa.Table:
    return pq.read_table(BytesIO(artefact(made, "samples.parquet")))


def frames(made: Made) -> dict[str, list[int | None]]:
    """Return the frame indices of the pool by source."""
    found: dict[str, list[int | None]] = {}
    table = samples(made)
    for source, index in zip(table["source"].to_pylist(), table["frame_index"].to_pylist(), strict=True):
        found.setdefault(source, []).append(index)
    return found


def left_out(made: Made) -> dict[str, tuple[str, str]]:
    return {
        one["source"]: (one["reason"], one["detail"]) for one in json.loads(artefact(made, "skipped.json"))
    }


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three videos of other kinds, two photos, and two that are none."""
    folder = put(
        tmp_path_factory.mktemp("videos") / "in",
        a__mp4=Clip(frames=40, gop=10),
        c__mkv=Clip(form="matroska", codec="libvpx-vp9", frames=23, gop=8, first_index=100),
        d__ts=Clip(form="mpegts", codec="mpeg2video", frames=120, gop=12, rate=25, first_index=200),
        text__mp4=b"#EXTM3U\n/etc/passwd\n",
        zero__avi=b"",
    )
    make_photos(folder, 2, prefix="b/")
    return folder


def test_mixed_input__frames_and_images_are_one_pool(videos: Path, tmp_path: Path) -> None:
    document = job(
        videos,
        tmp_path / "out",
        video={"sampling": {"every": 10}, "output_image_format": "png"},
        report={"images": "thumb"},
        selection={"n_samples": 8, "strategies": [DIVERSITY]},
    )
    outcome = run_job(document)
    folder = Path(outcome.result_url)
    table = pq.read_table(folder / "samples.parquet")
    assert table["sample"].to_pylist() == [
        *(f"a-{index:02}-mp4.png" for index in (0, 10, 20, 30)),
        "b/00000.jpg",
        "b/00001.jpg",
        *(f"c-{index:02}-mkv.png" for index in (0, 10, 20)),
        *(f"d-{index:03}-ts.png" for index in range(0, 120, 10)),
    ]
    assert table["time_s"].to_pylist()[:5] == [0.0, 1.0, 2.0, 3.0, None]
    skipped = {one["source"]: one["reason"] for one in json.loads((folder / "skipped.json").read_text())}
    assert skipped == {"text.mp4": "not_a_video", "zero.avi": "empty"}
    counts = outcome.counts
    assert (counts.listed, counts.read, counts.samples, counts.pool, counts.selected) == (7, 5, 21, 21, 8)

    picked = (folder / "selected.txt").read_text().splitlines()
    written = {str(path.relative_to(folder / "frames")) for path in (folder / "frames").rglob("*.png")}
    assert written == {name for name in picked if name.endswith(".png")}
    first = {"a": 0, "c": 100, "d": 200}
    for name in written:
        with Image.open(folder / "frames" / name) as image:
            assert shown_index(np.asarray(image)) == int(name.split("-")[1]) + first[name[0]]

    told = json.loads((folder / "sequence_information.json").read_text())
    assert [one for entry in told for one in entry["frame_names"]] == [
        name for name in picked if name in written
    ]
    report = json.loads((folder / "report.json").read_text())
    assert [video["name"] for video in report["videos"]["videos"]] == ["a.mp4", "c.mkv", "d.ts"]
    html = (folder / "report.html").read_text()
    assert "00:00:01.000" in html
    assert html.count("<img") >= 8

    again = Path(run_job({**document, "seed": 0}, fetch_threads=2).result_url)
    assert again != folder
    for name in ("samples.parquet", "selected.txt", "skipped.json", "sequence_information.json"):
        assert (again / name).read_bytes() == (folder / name).read_bytes()
    for name in written:
        assert (again / "frames" / name).read_bytes() == (folder / "frames" / name).read_bytes()


@pytest.fixture
def cut_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every video is long, and cut each second."""
    monkeypatch.setattr("worker.plan.PLANNED_BYTES", 1)
    monkeypatch.setattr("worker.video.segments.SEGMENT_S", 1)
    monkeypatch.setattr("worker.video.planning.SEGMENT_S", 1)


@pytest.mark.parametrize(
    "sampling",
    ["all", "keyframes", {"every": 7}, {"fps": 3}],
    ids=str,
)
def test_long_videos__segments_lose_and_double_nothing(
    sampling: Any, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = job(
        videos,
        tmp_path / "whole",
        video={"sampling": sampling},
        selection={"n_samples": 6, "strategies": ALL, "selected_sequence_length": 2},
    )
    whole = select(prepared(document))
    monkeypatch.setattr("worker.plan.PLANNED_BYTES", 1)
    monkeypatch.setattr("worker.video.segments.SEGMENT_S", 1)
    document["datasource"]["output"] = str(tmp_path / "cut")
    cut = select(prepared(document))
    assert len(cut.plan.chunks) > len(whole.plan.chunks)
    assert len([source for chunk in cut.plan.chunks for source in chunk.sources]) > 9
    assert cut.plan.source_count == whole.plan.source_count == 7
    assert timeless(cut) == timeless(whole)


@pytest.mark.usefixtures("cut_early")
def test_a_video_without_an_index__is_named_by_timestamps_where_counting_is_not_asked_for(
    videos: Path, tmp_path: Path
) -> None:
    document = job(videos, tmp_path / "out", video={"sampling": {"fps": 2}, "exact_index": False})
    made = select(prepared(document))
    table = samples(made).to_pydict()
    times = [
        (name, pts, index)
        for name, source, pts, index in zip(
            *(table[name] for name in ("sample", "source", "pts", "frame_index")), strict=True
        )
        if source == "c.mkv"
    ]
    assert times == [(f"c-pts{pts}-mkv.png", pts, None) for pts in (0, 500, 1000, 1500, 2000)]
    assert frames(made)["a.mp4"] == [0, 5, 10, 15, 20, 25, 30, 35]
    told = json.loads(artefact(made, "sequence_information.json"))
    unknown = [entry for entry in told if entry["video_name"] == "c.mkv"]
    assert all(entry["frame_indices"] is None and not entry["frame_index_known"] for entry in unknown)


def test_damage__good_frames_stay_and_the_loss_is_told(tmp_path: Path) -> None:
    body = make(Clip(frames=60, gop=10, muxing={"movflags": "faststart"}))
    folder = put(tmp_path / "in", cut__mp4=body[: len(body) * 6 // 10], good__mp4=Clip(frames=20))
    made = select(prepared(job(folder, tmp_path / "out")))
    found = frames(made)
    assert found["cut.mp4"] == list(range(len(found["cut.mp4"])))
    assert 20 < len(found["cut.mp4"]) < 50
    reason, detail = left_out(made)["cut.mp4"]
    assert reason == "truncated"
    assert "60" in detail
    counts = made.findings.counts
    assert (counts.read, counts.damaged, counts.skipped) == (2, 1, {})
    facts = made.findings.content.videos
    assert facts is not None
    assert facts.totals.faulty == 1


def test_nothing_but_broken_videos__ends_with_the_reasons(tmp_path: Path) -> None:
    folder = put(tmp_path / "in", a__mp4=b"not a video at all, whatever its name says")
    with pytest.raises(JobFailed, match="no sample could be read"):
        select(prepared(job(folder, tmp_path / "out")))


@pytest.mark.parametrize("most_samples", [1, 1000])
@pytest.mark.usefixtures("cut_early")
def test_near_identical__are_left_out_whatever_the_chunks(tmp_path: Path, most_samples: int) -> None:
    folder = put(tmp_path / "in", a__mp4=Clip(frames=40, gop=10))
    document = job(
        folder,
        tmp_path / "out",
        video={"drop_near_identical": {"max_difference": 255}},
        selection={"n_samples": 2, "strategies": [DIVERSITY]},
    )
    made = select(prepared(document, chunk_sources=most_samples))
    assert frames(made)["a.mp4"] == [
        0,
        10,
        20,
        30,
    ]  # the first of each second, where the comparison starts anew
    told = left_out(made)
    assert len(told) == 36
    assert told["a-11-mp4.png"][0] == "near_identical"
    assert "a-10-mp4.png" in told["a-11-mp4.png"][1]
    counts = made.findings.counts
    assert (counts.samples, counts.near_identical, counts.pool) == (40, 36, 4)


def test_sequences__are_selected_whole(videos: Path, tmp_path: Path) -> None:
    selection = {
        "n_samples": 12,
        "selected_sequence_length": 4,
        "min_gap_s": 0.5,
        "quotas": [{"key": "video_name", "at_most": 4}],
        "strategies": [DIVERSITY],
    }
    made = select(prepared(job(videos, tmp_path / "out", selection=selection)))
    told = json.loads(artefact(made, "sequence_information.json"))
    assert sorted(entry["video_name"] for entry in told) == ["a.mp4", "c.mkv", "d.ts"]
    for entry in told:
        first = entry["frame_indices"][0]
        assert entry["frame_indices"] == [first, first + 1, first + 2, first + 3]


def test_a_datapool_of_frames__is_complemented_the_next_night(tmp_path: Path) -> None:
    first = put(tmp_path / "one", a__mp4=Clip(frames=20))
    second = put(tmp_path / "two", a__mp4=Clip(frames=20, first_index=100), b__mp4=Clip(frames=20))
    output = tmp_path / "out"
    pool = {"datapool": {"name": "fleet"}, "selection": {"n_samples": 3, "strategies": [DIVERSITY]}}
    one = run_job(job(first, output, **pool))
    two = select(prepared(job(second, output, **pool)))
    counts = two.findings.counts
    assert (counts.preselected, counts.selected, counts.duplicates) == (3, 3, 3)
    assert set(left_out(two)) == {f"b-{name[2:]}" for name in one.selected}

    query = {"job": one.job_id}
    similar = {"input": {"type": "EMBEDDINGS", "query": query}, "strategy": {"type": "SIMILARITY"}}
    selection = {"n_samples": 3, "strategies": [similar]}
    three = select(prepared(job(second, output, name="like", selection=selection)))
    assert set(three.findings.selected) == {f"b-{name[2:]}" for name in one.selected}


def test_a_name_that_an_image_has_already__stays_the_image(tmp_path: Path) -> None:
    folder = put(tmp_path / "in", a__mp4=Clip(frames=12))
    Image.fromarray(np.full((40, 40, 3), 90, np.uint8)).save(folder / "a-03-mp4.png")
    made = select(prepared(job(folder, tmp_path / "out")))
    assert samples(made)["sample"].to_pylist().count("a-03-mp4.png") == 1
    assert 3 not in frames(made)["a.mp4"]
    assert left_out(made)["a.mp4"][0] == "name_taken"


def test_over_s3__gives_what_the_folder_gives(
    moto: S3Server, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.plan.PLANNED_BYTES", 1)
    monkeypatch.setattr("worker.video.segments.SEGMENT_S", 1)
    for name, value in moto.environment().items():
        monkeypatch.setenv(name, value)
    source, output = moto.make_bucket("videos-in"), moto.make_bucket("videos-out")
    client = client_of(moto)
    for path in videos.rglob("*"):
        if path.is_file():
            key = f"x/{path.relative_to(videos)}"
            client.put_object(Bucket=source, Key=key, Body=path.read_bytes())
    changes = {"video": {"sampling": {"fps": 5}}}
    remote = select(prepared(job(f"s3://{source}/x/", f"s3://{output}/y/", **changes)))
    local = select(prepared(job(videos, tmp_path / "out", **changes)))
    for name in ("selected.txt", "skipped.json", "sequence_information.json"):
        assert artefact(remote, name) == artefact(local, name)
    kept = ["sample", "pts", "frame_index", "content", "sharpness"]
    assert samples(remote).select(kept).equals(samples(local).select(kept))


def test_frames_as_images__are_those_of_streams_without_usable_timestamps_too(tmp_path: Path) -> None:
    folder = put(
        tmp_path / "in",
        a__avi=Clip(form="avi", codec="mpeg4", b_frames=2, frames=30),
        b__mpg=Clip(form="mpeg", codec="mpeg2video", b_frames=2, frames=30, rate=25, first_index=100),
        c__h264=Clip(form="h264", frames=30, first_index=200),
    )
    document = job(
        folder,
        tmp_path / "out",
        video={"sampling": {"every": 4}, "output_image_format": "png"},
        selection={"n_samples": 24, "strategies": ALL},
    )
    result = Path(run_job(document).result_url)
    written = sorted(path.name for path in (result / "frames").iterdir())
    assert len(written) == 24
    first = {"a": 0, "b": 100, "c": 200}
    for name in written:
        with Image.open(result / "frames" / name) as image:
            assert shown_index(np.asarray(image)) == int(name.split("-")[1]) + first[name[0]]


def test_a_video_that_cannot_be_opened_on_another_day__is_skipped_that_day(tmp_path: Path) -> None:
    """Its measures are there, a row a frame; its embedding has one row that says why there is none."""
    folder = put(tmp_path / "in", a__mp4=Clip(frames=20))
    document = job(folder, tmp_path / "out")
    select(prepared(document))
    ready = prepared(document)
    embeddings = [
        info.key
        for info in ready.output.list(".framesift/chunks/")
        if f"/{ready.embedding_facet.digest}." in info.key
    ]
    assert embeddings
    ready.output.delete(embeddings)
    with pytest.raises(JobFailed, match=r"no sample could be read: all 1 sources .*1 decode_timeout"):
        select(prepared(document, limits={"decode_timeout_s": 1e-4}), fresh=True)
    assert frames(select(prepared(document), fresh=True))["a.mp4"] == list(range(20))
