"""Jobs with metadata from names, on a whole run, and every selection job of the guide."""

import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.photos import make_photos
from tests.worker.runs import DIVERSITY, artefact, job, prepared, select

GUIDE = Path(__file__).parents[2] / "docs" / "job.md"
PATTERN = r"^(?P<camera>[^/]+)/(?P<drive>\d+)/"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 photos of the front camera and 8 of the rear one, in drives of 4, and one at the top."""
    folder = tmp_path_factory.mktemp("in")
    for drive in range(3):
        make_photos(folder, 4, first=10 * drive, prefix=f"front/{drive:04}/")
    for drive in range(2):
        make_photos(folder, 4, first=100 + 10 * drive, prefix=f"rear/{drive:04}/")
    make_photos(folder, 1, first=200)
    return folder


def text(photos: Path, out: Path, *strategies: dict[str, Any], **selection: Any) -> dict[str, Any]:
    asked = {
        "n_samples": 8,
        "lightly_path_regex": PATTERN,
        "strategies": [*strategies, DIVERSITY],
        **selection,
    }
    return job(photos, out, selection=asked)


def cameras(names: tuple[str, ...]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in names:
        camera = name.partition("/")[0] if "/" in name else "none"
        found[camera] = found.get(camera, 0) + 1
    return found


def test_run__balances_what_names_tell_and_keeps_it_beside_the_samples(photos: Path, tmp_path: Path) -> None:
    balance = {
        "input": {"type": "METADATA", "key": "camera"},
        "strategy": {"type": "BALANCE", "target": {"rear": 0.75, "front": 0.25}, "strength": 1e9},
    }
    made = select(prepared(text(photos, tmp_path / "out", balance)))
    assert cameras(made.findings.selected) == {"rear": 6, "front": 2}
    table = pq.read_table(BytesIO(artefact(made, "samples.parquet")))
    by_name = dict(zip(table["sample"].to_pylist(), table["metadata.camera"].to_pylist(), strict=True))
    assert (by_name["front/0001/00010.jpg"], by_name["00200.jpg"]) == ("front", None)
    assert set(table["metadata.drive"].to_pylist()) == {None, "0000", "0001", "0002"}
    columns = {one.name: one for one in made.findings.content.analysis.categories}
    assert columns["camera"].values == ("front", "rear")
    assert columns["camera"].selected_counts == (2, 6)


def test_run__numbers_in_names_are_thresholded(photos: Path, tmp_path: Path) -> None:
    late = {
        "input": {"type": "METADATA", "key": "drive"},
        "strategy": {"type": "THRESHOLD", "threshold": 1, "operation": "BIGGER_EQUAL"},
    }
    made = select(prepared(text(photos, tmp_path / "out", late, n_samples=20)))
    assert len(made.findings.selected) == 12
    assert all("/0000/" not in name for name in made.findings.selected)


def test_run__groups_by_folder_and_quotas_by_camera(photos: Path, tmp_path: Path) -> None:
    rules = {
        "groups": {"key": "lightly.folder"},
        "quotas": [{"key": "camera", "value": "front", "at_least": 8}, {"key": "camera", "at_most": 8}],
    }
    made = select(prepared(text(photos, tmp_path / "out", **rules, n_samples=13)))
    assert cameras(made.findings.selected) == {"front": 8, "rear": 4, "none": 1}
    folders = {name.rpartition("/")[0] for name in made.findings.selected}
    assert len(folders) == 4


def test_guide__every_selection_job_runs(photos: Path, tmp_path: Path) -> None:
    before = select(prepared(text(photos, tmp_path / "out", n_samples=2))).results
    before.close("done")
    (tmp_path / "out" / ".lightly").mkdir()
    (tmp_path / "out" / ".lightly" / "relevant_filenames.txt").write_text("front/*\nrear/*\n")
    documents = map(json.loads, re.findall(r"```json\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL))
    ran = []
    for document in documents:
        if document["kind"] != "selection":
            continue
        place = {"input": str(photos), "output": str(tmp_path / "out")}
        document["datasource"] = {**document["datasource"], **place}
        document["embedding"] = {"model": {"type": "colour_histogram"}, "dimension": 8}
        chosen = document["selection"]
        if "protected" in chosen:
            chosen["protected"]["query"]["job"] = before.job_id
            chosen["n_samples"], chosen["quotas"][1]["at_least"] = 10, 2
        ran.append(select(prepared(document)).findings)
    assert [len(findings.selected) > 0 for findings in ran] == [True] * 3
