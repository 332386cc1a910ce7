"""Queries on a whole run: an earlier job's selection, and samples by their names."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.photos import jpeg, make_photos
from tests.worker.runs import DIVERSITY, artefact, job, prepared, select
from worker.errors import JobRejected
from worker.layout import CHUNKS
from worker.runner import Made


def similar(**query: Any) -> dict[str, Any]:
    return {"input": {"type": "EMBEDDINGS", "query": query}, "strategy": {"type": "SIMILARITY"}}


def text(photos: Path, out: Path, n: int, *strategies: dict[str, Any], **selection: Any) -> dict[str, Any]:
    asked = {"n_samples": n, "strategies": list(strategies or (DIVERSITY,)), **selection}
    return job(photos, out, selection=asked)


def vectors(made: Made) -> dict[str, np.ndarray]:
    table = pq.read_table(BytesIO(artefact(made, "samples.parquet")))
    return dict(zip(table["sample"].to_pylist(), np.array(table["embedding"].to_pylist()), strict=True))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 photos, a copy of the fourth under two names, and a broken one."""
    folder = tmp_path_factory.mktemp("in")
    make_photos(folder, 30)
    (folder / "copy.jpg").write_bytes(jpeg(3))
    (folder / "broken.jpg").write_bytes(jpeg(5)[:300])
    return folder


def finished(document: dict[str, Any]) -> Made:
    """Run a job as if to its end, without the report."""
    made = select(prepared(document))
    made.results.close("done")
    return made


@pytest.fixture(scope="module")
def earlier(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Made]:
    """A finished job on these photos that selected 3."""
    out = tmp_path_factory.mktemp("out")
    return out, finished(text(photos, out, 3))


def test_keys__the_nearest_to_named_samples_come_first(photos: Path, tmp_path: Path) -> None:
    made = select(prepared(text(photos, tmp_path / "out", 5, similar(keys=["00007.jpg", "00011.jpg"]))))
    rows = vectors(made)
    nearest = {
        name: min(float(((row - rows[key]) ** 2).sum()) for key in ("00007.jpg", "00011.jpg"))
        for name, row in rows.items()
    }
    assert list(made.findings.selected) == sorted(nearest, key=lambda name: (nearest[name], name))[:5]


def test_keys__a_duplicate_stands_for_the_sample_that_stays(photos: Path, tmp_path: Path) -> None:
    copy = select(prepared(text(photos, tmp_path / "out", 5, similar(keys=["copy.jpg"]))))
    original = select(prepared(text(photos, tmp_path / "out", 5, similar(keys=["00003.jpg"]))))
    assert copy.findings.selected == original.findings.selected


def test_keys__what_could_not_be_read_is_said_or_refused(photos: Path, tmp_path: Path) -> None:
    made = select(prepared(text(photos, tmp_path / "out", 3, similar(keys=["broken.jpg", "00003.jpg"]))))
    warning = "selection.strategies.0.input.query.keys: 1 of 2 samples could not be read, so nothing is compared with them."
    assert warning in made.findings.content.warnings
    with pytest.raises(JobRejected, match=r"query\.keys: none of these 1 samples could be read; see skipped"):
        select(prepared(text(photos, tmp_path / "out", 3, similar(keys=["broken.jpg"]))))
    (done,) = [
        done
        for path in (tmp_path / "out").glob("night/*/done.json")
        if (done := json.loads(path.read_text()))["state"] == "failed"
    ]
    assert "none of these 1 samples" in done["reason"]
    assert [one["name"] for one in done["artefacts"]] == ["skipped.json"]


def test_protected__leaves_out_the_named_samples_themselves(photos: Path, tmp_path: Path) -> None:
    protected = {"query": {"keys": ["00007.jpg", "00011.jpg"]}, "radius": 0}
    made = select(prepared(text(photos, tmp_path / "out", 30, protected=protected)))
    left_out = {"00007.jpg", "00011.jpg"} & set(made.findings.selected)
    assert not left_out
    assert len(made.findings.selected) == 28


def test_job__is_compared_in_the_space_of_this_job(photos: Path, earlier: tuple[Path, Made]) -> None:
    out, before = earlier
    by_job = select(prepared(text(photos, out, 6, similar(job=before.results.job_id))))
    by_name = select(prepared(text(photos, out, 6, similar(keys=list(before.findings.selected)))))
    assert set(by_job.findings.selected[:3]) == set(before.findings.selected)
    assert by_job.findings.selected == by_name.findings.selected


def test_job__other_limits_are_the_same_vectors(photos: Path, earlier: tuple[Path, Made]) -> None:
    out, before = earlier
    document = {
        **text(photos, out, 6, similar(job=before.results.job_id)),
        "limits": {"max_pixels": 10_000_000},
    }
    made = select(prepared(document))
    assert set(made.findings.selected[:3]) == set(before.findings.selected)


def test_job__protects_what_was_selected_from_another_input(
    photos: Path, earlier: tuple[Path, Made], tmp_path: Path
) -> None:
    out, before = earlier
    make_photos(tmp_path / "new", 10, first=50)
    name = before.findings.selected[0]
    (tmp_path / "new" / "seen.jpg").write_bytes((photos / name).read_bytes())
    protected = {"query": {"job": before.results.job_id}, "radius": 1e-6}
    made = select(prepared(text(tmp_path / "new", out, 11, protected=protected)))
    assert "seen.jpg" not in made.findings.selected
    assert len(made.findings.selected) == 10


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, r"query\.job: no job '2026' under .*, which has \d+ jobs; the latest are 2"),
        (
            {"embedding": {"model": {"type": "efficientnet_lite0"}}},
            r"query\.job: the job '.*' was embedded by colour_histogram \(weights none, 24 dimensions, float32.*\), this"
            r" job is by efficientnet_lite0 \(weights [0-9a-f]{12}, 1280 dimensions.*distances between them mean nothing",
        ),
    ],
    ids=["unknown", "another model"],
)
def test_job__refusals(photos: Path, earlier: tuple[Path, Made], changes: dict[str, Any], says: str) -> None:
    out, before = earlier
    document = {**text(photos, out, 6, similar(job=before.results.job_id if changes else "2026")), **changes}
    ready = prepared(document)
    with pytest.raises(JobRejected, match=says):
        select(ready)
    assert ready.source.usage.requests.get("GET", 0) == 0


def test_job__must_have_ended_with_a_selection(photos: Path, tmp_path: Path) -> None:
    made = select(prepared(text(photos, tmp_path / "out", 3)))
    with pytest.raises(JobRejected, match=r"the job '.*' did not end with a selection"):
        select(prepared(text(photos, tmp_path / "out", 6, similar(job=made.results.job_id))))


def test_job__whose_chunks_are_gone_is_refused(photos: Path, tmp_path: Path) -> None:
    before = finished(text(photos, tmp_path / "out", 3))
    for path in (tmp_path / "out" / CHUNKS).rglob("*.parquet"):
        path.unlink()
    with pytest.raises(JobRejected, match=r"are no longer in .*; run that job again"):
        select(prepared(text(photos, tmp_path / "out", 6, similar(job=before.results.job_id))))


def test_job__of_which_nothing_was_selected_is_refused(photos: Path, tmp_path: Path) -> None:
    impossible = {
        "input": {"type": "METADATA", "key": "lightly.width"},
        "strategy": {"type": "THRESHOLD", "threshold": 1, "operation": "SMALLER"},
    }
    before = finished(text(photos, tmp_path / "out", 3, DIVERSITY, impossible))
    assert before.findings.selected == ()
    with pytest.raises(JobRejected, match=r"the job '.*' selected nothing"):
        select(prepared(text(photos, tmp_path / "out", 6, similar(job=before.results.job_id))))
