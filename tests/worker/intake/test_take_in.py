"""`datasource.process: new` over several nights."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.photos import jpeg, make_photos
from tests.worker.datapool.nights import addresses
from tests.worker.runs import job, prepared, run_job, select
from worker.check import forecast
from worker.errors import JobFailed
from worker.events import Events
from worker.intake.seen import remember, seen_set
from worker.layout import SEEN
from worker.runner import Made, run


def new(source: Path, out: Path, **changes: Any) -> dict[str, Any]:
    document = job(source, out, **{"selection": {"n_samples": 2, "strategies": []}, **changes})
    document["selection"] = {**document["selection"], "strategies": changes.get("strategies", _DIVERSITY)}
    document.pop("strategies", None)
    document["datasource"]["process"] = "new"
    return document


_DIVERSITY = [{"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}}]


def finished(document: dict[str, Any]) -> Made:
    """Run a job as if to its end, without the report."""
    ready = prepared(document)
    made = select(ready)
    remember(made.results, made.plan, seen_set(ready.job, ready.source))
    made.results.close("done")
    return made


def listed(made: Made) -> list[str]:
    return [source.key for chunk in made.plan.chunks for source in chunk.sources]


def test_new__three_nights_read_each_object_once(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    nights = []
    for night in range(3):
        keys = make_photos(folder, 6, first=6 * night)
        made = finished(new(folder, out, datapool={"name": "kept"}))
        nights.append((keys, made))
        assert listed(made) == keys
        counts = made.findings.counts
        assert (counts.listed, counts.earlier, counts.pool) == (6 * (night + 1), 6 * night, 6)
    assert len(addresses(out)) == 6


def test_new__an_overwritten_object_is_new(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    make_photos(folder, 6)
    finished(new(folder, out))
    (folder / "00002.jpg").write_bytes(jpeg(99))
    made = finished(new(folder, out))
    assert listed(made) == ["00002.jpg"]


def test_new__a_failed_job_leaves_its_objects_new(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "broken.jpg").write_bytes(jpeg(5)[:300])
    with pytest.raises(JobFailed, match="no sample could be read"):
        select(prepared(new(folder, out)))
    assert not (out / SEEN).exists()
    make_photos(folder, 3)
    assert listed(finished(new(folder, out))) == ["00000.jpg", "00001.jpg", "00002.jpg", "broken.jpg"]


def test_new__what_could_not_be_read_for_good_is_finished_with_and_the_rest_is_new(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    make_photos(folder, 4)
    (folder / "broken.jpg").write_bytes(jpeg(5)[:300])
    (folder / "gone.jpg").write_bytes(jpeg(6))
    ready = prepared(new(folder, out))
    get = ready.source.get

    def missing_once(key: str, **asked: Any) -> bytes:
        if key == "gone.jpg":
            (folder / key).unlink(missing_ok=True)
        return get(key, **asked)

    object.__setattr__(ready.source, "get", missing_once)
    made = select(ready)
    remember(made.results, made.plan, seen_set(ready.job, ready.source))
    made.results.close("done")
    assert made.findings.counts.skipped == {"missing": 1, "truncated": 1}
    segments = list((out / SEEN).rglob("*.parquet"))
    assert pq.read_table(segments[0]).num_rows == 5


def test_new__jobs_with_the_same_datapool_share_what_they_have_seen(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    make_photos(folder, 4)
    finished(new(folder, out, datapool={"name": "kept"}))
    make_photos(folder, 2, first=4)
    other_name = new(folder, out, datapool={"name": "kept"}, name="other")
    assert listed(finished(other_name)) == ["00004.jpg", "00005.jpg"]
    assert len(listed(finished(new(folder, out, name="third")))) == 6


def test_new__what_a_job_on_everything_has_seen_counts_too(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    make_photos(folder, 8)
    run_job(job(folder, out))
    make_photos(folder, 1, first=8)
    assert listed(finished(new(folder, out))) == ["00008.jpg"]


def test_new__nothing_new_is_a_normal_end(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    make_photos(folder, 4)
    finished(new(folder, out))
    ready = prepared(new(folder, out))
    outcome = run(ready, Events())
    assert outcome.nothing_new
    assert outcome.selected == ()
    assert ready.source.usage.requests == {"LIST": 1}
    result = out / "night" / outcome.job_id
    assert {path.name for path in result.iterdir()} == {
        "done.json",
        "log.jsonl",
        "selected.txt",
        "skipped.json",
    }
    assert (result / "selected.txt").read_bytes() == b""
    done = json.loads((result / "done.json").read_text())
    assert (done["state"], done["nothing_new"], done["counts"]["earlier"]) == ("done", True, 4)
    make_photos(folder, 1, first=4)
    assert listed(finished(new(folder, out))) == ["00004.jpg"]


def test_new__check_says_what_is_left(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    make_photos(folder, 4)
    finished(new(folder, out))
    found = forecast(prepared(new(folder, out)))
    assert (found.sources, found.earlier, found.chunks) == (0, 4, 0)
    make_photos(folder, 1, first=4)
    assert forecast(prepared(new(folder, out))).sources == 1


def test_seen__a_newer_format_is_refused(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    make_photos(folder, 4)
    finished(new(folder, out))
    (segment,) = (out / SEEN).rglob("*.parquet")
    assert pq.read_table(segment)["digest"].type.byte_width == 16
    table = pq.read_table(segment).replace_schema_metadata({"framesift": '{"format_version": 2}'})
    pq.write_table(table, segment)
    with pytest.raises(JobFailed, match="format 2; this framesift reads up to 1: update it"):
        select(prepared(new(folder, out)))


def test_seen__equal_plans_leave_equal_bytes(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    make_photos(folder, 20)
    bodies = []
    for out in ("one", "two"):
        finished(new(folder, tmp_path / out))
        (segment,) = (tmp_path / out / SEEN).rglob("*.parquet")
        bodies.append(segment.read_bytes())
    assert bodies[0] == bodies[1]
    assert len(set(pq.read_table(segment)["digest"].to_pylist())) == 20
