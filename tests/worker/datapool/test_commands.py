"""`framesift datapool`: show, list, remove, reembed."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.photos import jpeg
from tests.worker.datapool.nights import POOL, addresses, finished, members, nights, pool, samples, text
from tests.worker.runs import prepared, select
from worker.cli import app
from worker.errors import JobFailed, JobRejected
from worker.projection import Projection

LITE0 = json.dumps({"type": "efficientnet_lite0"})


def framesift(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["datapool", *map(str, arguments)])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two nights of 12 photos, 4 picks each; copied by the tests that change it."""
    folder = tmp_path_factory.mktemp("made")
    for night in nights(folder, 12, 12):
        finished(text(night, folder / "out"))
    return folder


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made / "out", tmp_path / "out")
    return tmp_path / "out"


def test_show__by_input_and_version(made: Path) -> None:
    found = json.loads(framesift("show", POOL, "--output", made / "out", "--json").stdout)
    assert found["samples"] == 8
    assert found["by_input"] == {f"{made}/night1/": 4, f"{made}/night2/": 4}
    assert [(one["version"], one["added"]) for one in found["versions"]] == [(1, 4), (2, 4)]
    lines = framesift("show", POOL, "--output", made / "out").stdout
    assert "model     colour_histogram (weights none, 24 dimensions, float32" in lines
    assert "reduced   to 8 dimensions, length 1" in lines
    assert f"4  {made}/night2/" in lines


def test_list__all_datapools(made: Path, tmp_path: Path) -> None:
    assert framesift("list", "--output", made / "out").stdout.startswith(
        "kept: 8 samples, colour_histogram ("
    )
    assert json.loads(framesift("list", "--output", tmp_path, "--json").stdout) == []


def test_show__an_unknown_one_is_refused_with_the_closest(made: Path) -> None:
    found = framesift("show", "keep", "--output", made / "out")
    assert found.exit_code == 2
    assert "NAME: no datapool 'keep' under" in found.stderr
    assert "choose from kept; did you mean 'kept'?" in found.stderr


def test_remove__later_selections_no_longer_see_it(made: Path, out: Path, tmp_path: Path) -> None:
    first, second = addresses(out)[0], addresses(out)[5]
    (tmp_path / "keys.txt").write_text(f"{second}\n")
    done = framesift("remove", POOL, first, "--keys-file", tmp_path / "keys.txt", "--output", out)
    assert done.exit_code == 0, done.stderr
    assert "removed 2 samples from kept" in done.stdout
    assert len(addresses(out)) == 6
    assert not {first, second} & set(addresses(out))
    night = finished(text(Path(first).parent, out, n=12))
    assert night.findings.counts.preselected == 6
    assert Path(first).name in samples(night)["sample"].to_pylist()
    assert addresses(out)[6:].count(first) == 1


def test_remove__the_last_sample_leaves_an_empty_datapool(made: Path, out: Path) -> None:
    stored = (out / ".framesift/datapools/kept/g000001/projection.npz").read_bytes()
    assert framesift("remove", POOL, *addresses(out), "--output", out).exit_code == 0
    assert addresses(out) == []
    night = finished(text(made / "night2", out))
    assert night.findings.counts.preselected == 0
    assert len(addresses(out)) == 4
    assert (out / ".framesift/jobs" / night.results.job_id / "projection.npz").read_bytes() == stored


def test_remove__refusals(made: Path, out: Path) -> None:
    unknown = framesift("remove", POOL, "0000.jpg", "--output", out)
    assert unknown.exit_code == 2
    assert "KEYS: '0000.jpg' is not in the datapool 'kept'; did you mean '00" in unknown.stderr
    names = [one.identity.sample for added in members(out) for one in added.members]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        several = framesift("remove", POOL, twice, "--output", out)
        assert f"came from several inputs; say which: {made}/night1/{twice}, {made}/night2/" in several.stderr
    assert "KEYS: give names, or --keys-file" in framesift("remove", POOL, "--output", out).stderr
    assert len(addresses(out)) == 8


def test_removed_while_a_job_runs__the_job_sees_what_it_froze(made: Path, out: Path) -> None:
    once = select(prepared(text(made / "night1", out, n=12)))
    framesift("remove", POOL, addresses(out)[0], "--output", out)
    twice = select(prepared(text(made / "night1", out, n=12)))
    assert twice.results.job_id == once.results.job_id
    assert twice.findings.content == once.findings.content


def test_reembed__another_model_reads_the_samples_again(tmp_path: Path) -> None:
    first, second = nights(tmp_path, 12, 12)
    out = tmp_path / "out"
    for night in (first, second):
        finished(text(night, out))
    before = [(one.identity, one.added_at) for added in members(out) for one in added.members]
    changed, gone = before[0][0].sample, before[4][0].sample
    (first / changed).write_bytes(jpeg(500))
    (second / gone).unlink()
    lite0 = {"model": {"type": "efficientnet_lite0"}, "dimension": 8}
    document = text(first, out, embedding=lite0, name="other")
    with pytest.raises(JobRejected, match="framesift datapool reembed"):
        select(prepared(document))
    done = framesift("reembed", POOL, "--output", out, "--model", LITE0)
    assert done.exit_code == 0, done.stderr
    assert f"dropped  {first}/{changed}: changed," in done.stdout
    assert f"dropped  {second}/{gone}: missing," in done.stdout
    assert "re-embedded 6 samples of kept, dropped 2" in done.stdout
    after = [(one.identity, one.added_at) for added in members(out) for one in added.members]
    assert after == before[1:4] + before[5:]
    assert members(out)[0].embeddings.shape[1] == 1280
    assert pool(out).generation == 2
    assert not list((out / ".framesift/datapools/kept").glob("g000001/*"))
    stored = Projection.from_bytes((out / ".framesift/datapools/kept/g000002/projection.npz").read_bytes())
    assert stored.components is not None
    assert stored.components.shape == (5, 1280)
    assert select(prepared(document)).findings.counts.preselected == 6
    with pytest.raises(
        JobRejected, match=r"was embedded by efficientnet_lite0 .* this job is by colour_histogram"
    ):
        select(prepared(text(second, out)))


def test_reembed__a_job_that_froze_the_old_generation_is_told(made: Path, out: Path) -> None:
    select(prepared(text(made / "night1", out, n=3)))
    assert (
        framesift("reembed", POOL, "--output", out, "--model", '{"type": "colour_histogram"}').exit_code == 0
    )
    with pytest.raises(
        JobFailed, match="was re-embedded or deleted since this job began: run it again with --fresh"
    ):
        select(prepared(text(made / "night1", out, n=3)))


def test_reembed__the_same_model_fits_the_reduction_anew_and_reads_what_no_chunk_has(
    made: Path, out: Path
) -> None:
    before = np.concatenate([added.embeddings for added in members(out)])
    assert (
        framesift("reembed", POOL, "--output", out, "--model", '{"type": "colour_histogram"}').exit_code == 0
    )
    np.testing.assert_array_equal(np.concatenate([added.embeddings for added in members(out)]), before)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("lite0", "--model: not JSON"),
        ('["a"]', "--model: should be an object"),
        ('{"type": "lite0"}', "lite0"),
    ],
)
def test_reembed__refuses_what_is_no_model(made: Path, model: str, says: str) -> None:
    found = framesift("reembed", POOL, "--output", made / "out", "--model", model)
    assert found.exit_code == 2
    assert says in found.stderr
    assert pool(made / "out").generation == 1
