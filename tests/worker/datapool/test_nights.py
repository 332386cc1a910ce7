"""Night after night into one datapool: each selection complements what was kept before, and joins it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.photos import jpeg, make_photos
from tests.worker.datapool.nights import (
    POOL,
    addresses,
    finished,
    kept_vectors,
    members,
    nights,
    pool,
    projection,
    samples,
    skipped,
    text,
    vectors,
)
from tests.worker.runs import DIVERSITY, TIMELESS, artefact, output_files, prepared, run_job, select, timeless
from worker import select as select_step
from worker.analysis.balance import shares_of
from worker.device import Device
from worker.errors import JobFailed, JobRejected
from worker.foresight import foresee
from worker.runner import Made
from worker.selection import engine
from worker.selection.pool import Pool
from worker.selection.terms import Balance, Diversity, Weights

CPU = Device("cpu", "CPU", 1)


def by_hand(made: Made, kept: np.ndarray, terms: list[Any], n: int) -> list[str]:
    """Select with the core alone: the night's samples, then the datapool's as preselected rows."""
    own = vectors(made)
    both = np.concatenate([own, kept])
    rows = np.arange(len(both))
    found = engine.select(Pool(both, rows < len(own)), terms, n, device=CPU, preselected=rows[len(own) :])
    names = samples(made)["sample"].to_pylist()
    return [names[row] for row in found.rows]


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path], list[Made]]:
    """Three nights of 20 photos, 4 picks each."""
    folder = tmp_path_factory.mktemp("three")
    inputs = nights(folder, 20, 20, 20)
    return folder / "out", inputs, [finished(text(one, folder / "out")) for one in inputs]


def test_nights__each_selects_against_the_ones_before(
    three: tuple[Path, list[Path], list[Made]], tmp_path: Path
) -> None:
    out, inputs, made = three
    alone = finished({**text(inputs[1], tmp_path / "alone"), "datapool": None})
    kept = kept_vectors(out)
    for number, night in enumerate(made):
        assert list(night.findings.selected) == by_hand(night, kept[: 4 * number], [Diversity()], 4)
        assert night.findings.counts.preselected == 4 * number
    assert set(made[1].findings.selected) != set(alone.findings.selected)


def test_nights__the_datapool_holds_every_pick_with_its_full_embedding(
    three: tuple[Path, list[Path], list[Made]],
) -> None:
    out, inputs, made = three
    assert addresses(out) == [
        f"{source}/{name}"
        for source, night in zip(inputs, made, strict=True)
        for name in night.findings.selected
    ]
    assert [one.number for one in pool(out).increments] == [1, 2, 3]
    third = members(out)[2]
    assert third.embeddings.shape == (4, 24)
    np.testing.assert_allclose(third.embeddings.sum(axis=1), 3, rtol=1e-6)  # a histogram a channel
    assert {one.added_at for one in third.members} == {made[2].plan.planned_at}
    by_name = dict(
        zip(samples(made[2])["sample"].to_pylist(), samples(made[2])["luminance"].to_pylist(), strict=True)
    )
    assert third.measures["luminance"].tolist() == [by_name[one.identity.sample] for one in third.members]


def test_nights__the_first_projection_is_everyones(three: tuple[Path, list[Path], list[Made]]) -> None:
    out, _, made = three
    stored = projection(out).to_bytes()
    for night in made:
        assert (out / ".framesift/jobs" / night.results.job_id / "projection.npz").read_bytes() == stored


def test_nights__explanations_name_where_a_kept_sample_came_from(
    three: tuple[Path, list[Path], list[Made]],
) -> None:
    out, _, made = three
    table = samples(made[2])
    assert table.num_rows == 20
    nearest = [name for name in table["nearest_kept"].to_pylist() if name is not None]
    assert len(nearest) == 4
    assert set(nearest) <= {*made[2].findings.selected, *addresses(out)[:8]}
    assert set(nearest) & set(addresses(out)[:8])


def test_nights__facts_show_all_three_sets(three: tuple[Path, list[Path], list[Made]]) -> None:
    _, _, made = three
    found = made[2].findings.content.analysis
    assert [len(found.scatter.input), len(found.scatter.datapool), len(found.scatter.selected)] == [20, 8, 4]
    assert {one.name: one.samples for one in found.diversity.sets} == {
        "input": 20, "selected": 4, "datapool": 8, "selected_with_datapool": 12, "random": 4,
    }  # fmt: skip
    covered = {one.name: one.metrics.mean for one in found.coverage.sets if one.metrics}
    assert covered["selected_with_datapool"] < min(covered["selected"], covered["datapool"])
    assert "joined with the datapool" in found.verdict.sentence


def test_nights__nothing_is_embedded_twice(tmp_path: Path) -> None:
    """The same input grows; every source is read once, in three jobs that look at all of it."""
    folder, reads = tmp_path / "in", []
    for night in range(3):
        make_photos(folder, 10, first=10 * night)
        ready = prepared(text(folder, tmp_path / "out", n=3), chunk_sources=10)
        made = select(ready)
        made.results.close("done")
        reads.append(ready.source.usage.requests.get("GET", 0))
        assert made.findings.counts.duplicates == 3 * night
    assert sum(reads) <= 30 + 10, reads  # borders of chunks move with new objects, so a part is read again
    assert len(set(addresses(tmp_path / "out"))) == 9


def test_nights__other_inputs_read_each_source_once(tmp_path: Path) -> None:
    for source in nights(tmp_path, 10, 12):
        ready = prepared(text(source, tmp_path / "out"))
        select(ready)
        assert ready.source.usage.requests["GET"] == len(list(source.iterdir()))


def test_nights__a_kept_sample_that_is_listed_again_is_a_duplicate(tmp_path: Path) -> None:
    first, second = nights(tmp_path, 12, 12)
    before = finished(text(first, tmp_path / "out"))
    pick = before.findings.selected[0]
    (second / "again.jpg").write_bytes((first / pick).read_bytes())
    made = finished(text(second, tmp_path / "out"))
    assert ("again.jpg", "duplicate", f"the same content as {first}/{pick}") in skipped(made)
    assert made.findings.counts.pool == 12
    assert len(addresses(tmp_path / "out")) == 8


def test_nights__an_input_that_is_kept_already_ends_with_nothing_selected(tmp_path: Path) -> None:
    (night,) = nights(tmp_path, 5)
    finished(text(night, tmp_path / "out", n=5))
    outcome = run_job(text(night, tmp_path / "out", n=5))
    assert outcome.selected == ()
    assert (
        "Every sample that could be read is in the datapool already: nothing was selected."
        in outcome.warnings
    )
    assert len(addresses(tmp_path / "out")) == 5


def test_nights__without_update_nothing_joins(tmp_path: Path) -> None:
    first, second = nights(tmp_path, 10, 10)
    finished(text(first, tmp_path / "out", datapool={"name": POOL, "update": False}))
    assert not (tmp_path / "out/.framesift/datapools").exists()
    finished(text(first, tmp_path / "out"))
    made = finished(text(second, tmp_path / "out", datapool={"name": POOL, "update": False}))
    assert made.findings.counts.preselected == 4
    assert len(addresses(tmp_path / "out")) == 4


def test_nights__kept_samples_count_in_weights_and_balance(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    make_photos(folder / "n1" / "day", 10)
    make_photos(folder / "n2" / "day", 10, first=20)
    make_photos(folder / "n2" / "dusk", 10, first=40)
    strategies = [
        DIVERSITY,
        {"input": {"type": "METADATA", "key": "lightly.luminance"}, "strategy": {"type": "WEIGHTS"}},
        {
            "input": {"type": "METADATA", "key": "lightly.folder"},
            "strategy": {"type": "BALANCE", "target": {"day": 0.5, "dusk": 0.5}},
        },
    ]
    finished(text(folder / "n1", tmp_path / "out", n=6))
    made = finished(text(folder / "n2", tmp_path / "out", n=6, strategies=strategies))
    table = samples(made)
    own = np.array(table["luminance"].to_pylist())
    before = members(tmp_path / "out")[0]
    day = [name.startswith("day/") for name in table["sample"].to_pylist()] + [True] * 6
    classes = np.array([[1.0, 0.0] if is_day else [0.0, 1.0] for is_day in day])
    terms = [
        Diversity(),
        Weights(np.concatenate([own, before.measures["luminance"]])),
        Balance(classes, np.array([0.5, 0.5])),
    ]
    kept = kept_vectors(tmp_path / "out")[:6]
    assert list(made.findings.selected) == by_hand(made, kept, terms, 6)
    (balance,) = made.findings.content.analysis.balances
    achieved = {one.name: one.achieved for one in balance.classes}
    picked = [name.startswith("day/") for name in made.findings.selected]
    assert achieved["day"] == pytest.approx(shares_of(np.array([6.0 + sum(picked), 6.0 - sum(picked)]))[0])
    assert sum(picked) < 3  # six of the datapool are by day already


def test_nights__quotas_bound_the_picks_of_this_job(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    make_photos(folder / "n1" / "day", 10)
    make_photos(folder / "n2" / "day", 10, first=20)
    quotas = [{"key": "lightly.folder", "value": "day", "at_least": 3, "at_most": 3}]
    finished(text(folder / "n1", tmp_path / "out", n=6))
    made = finished(text(folder / "n2", tmp_path / "out", n=6, selection={"quotas": quotas}))
    assert len(made.findings.selected) == 3
    (found,) = made.findings.content.analysis.quotas
    assert (found.values[0].picked, found.values[0].missing) == (3, 0)


def similar(**query: Any) -> dict[str, Any]:
    return {"input": {"type": "EMBEDDINGS", "query": query}, "strategy": {"type": "SIMILARITY"}}


def test_query__similar_to_a_datapool(tmp_path: Path) -> None:
    first, second = nights(tmp_path, 12, 12)
    finished(text(first, tmp_path / "out", n=2))
    document = {**text(second, tmp_path / "out", strategies=[similar(datapool=POOL)]), "datapool": None}
    (second / "twin.jpg").write_bytes((first / members(tmp_path / "out")[0].members[1].source).read_bytes())
    made = finished(document)
    assert made.findings.selected[0] == "twin.jpg"
    assert "to 2 samples of the datapool kept" in made.findings.content.strategies[0].detail


def test_query__protected_by_a_datapool(tmp_path: Path) -> None:
    first, second = nights(tmp_path, 12, 12)
    finished(text(first, tmp_path / "out", n=2))
    (second / "twin.jpg").write_bytes((first / members(tmp_path / "out")[0].members[1].source).read_bytes())
    protected = {"query": {"datapool": POOL}, "radius": 1e-6}
    document = text(second, tmp_path / "out", n=13, selection={"protected": protected})
    made = finished({**document, "datapool": None})
    assert "twin.jpg" not in made.findings.selected
    assert len(made.findings.selected) == 12


def test_query__a_datapool_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    (night,) = nights(tmp_path, 8)
    finished(text(night, tmp_path / "out"))
    document = {**text(night, tmp_path / "out", strategies=[similar(datapool="keept")]), "datapool": None}
    says = r"strategies\.0\.input\.query\.datapool: no datapool 'keept' under .*; choose from kept; did you mean 'kept'"
    with pytest.raises(JobRejected, match=says):
        select(prepared(document))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"embedding": {"model": {"type": "efficientnet_lite0"}, "dimension": 8}},
            r"datapool\.name: the datapool 'kept' was embedded by colour_histogram \(weights none, 24 dimensions, float32.*\),"
            r" this job is by efficientnet_lite0 \(weights [0-9a-f]{12}, 1280 .*\);.* \(framesift datapool reembed 'kept'",
        ),
        (
            {"embedding": {"model": {"type": "colour_histogram"}, "dimension": 9}},
            r"the datapool 'kept' was made with embedding\.dimension 8, this job asks for 9",
        ),
        (
            {"embedding": {"model": {"type": "colour_histogram"}, "dimension": 8, "normalize": False}},
            r"the datapool 'kept' was made with embedding\.normalize true, this job asks for false",
        ),
    ],
    ids=["model", "dimension", "normalize"],
)
def test_refused__before_an_image_is_read(
    three: tuple[Path, list[Path], list[Made]], changes: dict[str, Any], says: str
) -> None:
    out, inputs, _ = three
    ready = prepared(text(inputs[0], out, **changes))
    with pytest.raises(JobRejected, match=says):
        select(ready)
    assert ready.source.usage.requests.get("GET", 0) == 0


def test_refused__another_precision_is_another_space(three: tuple[Path, list[Path], list[Made]]) -> None:
    out, inputs, _ = three
    with pytest.raises(
        JobRejected, match=r"24 dimensions, float32.* this job is by .*24 dimensions, bfloat16"
    ):
        foresee(prepared(text(inputs[0], out), precision="bfloat16"), ["000.jpg"])


def test_memory__counts_the_datapool(three: tuple[Path, list[Path], list[Made]]) -> None:
    out, inputs, _ = three

    def needed(document: dict[str, Any]) -> str:
        with pytest.raises(JobFailed) as failed:
            foresee(prepared(document, memory_bytes=1), [f"{row:03}.jpg" for row in range(10_000)])
        return str(failed.value).partition("embeddings 4 * rows * dimension = ")[2].partition(",")[0]

    large = pool(out)
    assert large.at_most == 12
    assert needed(text(inputs[0], out)) == needed({**text(inputs[0], out), "datapool": None})
    store = out / ".framesift/datapools/kept/g000001"
    (store / "v000004-other-2000000.parquet").write_bytes(b"")
    try:
        assert needed(text(inputs[0], out)) == "61.3 MiB"
    finally:
        (store / "v000004-other-2000000.parquet").unlink()


KILLED = """
import os, signal
import worker.select as step
step.join = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from worker.cli import app
app()
"""


def test_killed__between_the_artefacts_and_the_datapool(tmp_path: Path) -> None:
    first, second = nights(tmp_path, 12, 12)
    for out in ("calm", "killed"):
        finished(text(first, tmp_path / out))
    calm = finished(text(second, tmp_path / "calm"))
    document = text(second, tmp_path / "killed")
    (tmp_path / "job.json").write_text(json.dumps(document))
    environment = os.environ | {"FRAMESIFT_CHUNK_SOURCES": "8", "FRAMESIFT_DECODE_PROCESSES": "1"}
    environment |= {"FRAMESIFT_DEVICE": "cpu", "PYTHONPATH": str(Path.cwd())}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, "run", str(tmp_path / "job.json")],
        env=environment,
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert len(addresses(tmp_path / "killed")) == 4
    before = {name for name in output_files(tmp_path / "killed") if name.startswith("night/")}
    finished(text(first, tmp_path / "killed", name="another", n=2))  # joins meanwhile, and must not be seen
    again = select(prepared(document))
    assert {name for name in before if name.endswith("selected.txt")} & {
        f"{again.results.prefix}selected.txt"
    }
    assert timeless(again)["content"] == timeless(calm)["content"]
    for name in ("selected.txt", "skipped.json"):
        assert artefact(again, name) == artefact(calm, name)
    assert sorted(addresses(tmp_path / "killed"))[-4:] == sorted(addresses(tmp_path / "calm"))[-4:]
    assert len(addresses(tmp_path / "killed")) == 10


def test_again__a_job_joins_once_with_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = nights(tmp_path, 12, 12)
    finished(text(first, tmp_path / "out"))
    once = select(prepared(text(second, tmp_path / "out")))  # without done.json: as if killed before it
    bytes_once = {name: artefact(once, name) for name in TIMELESS}
    increment = tmp_path / "out" / pool(tmp_path / "out").key(pool(tmp_path / "out").increments[-1].name)
    joined = increment.read_bytes()
    twice = select(prepared(text(second, tmp_path / "out")))
    assert twice.results.job_id == once.results.job_id
    assert {name: artefact(twice, name) for name in TIMELESS} == bytes_once
    assert increment.read_bytes() == joined
    assert len(pool(tmp_path / "out").increments) == 2


def test_concurrent__two_jobs_that_saw_the_same_version_both_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = nights(tmp_path, 12, 12, 12)
    out = tmp_path / "out"
    finished(text(first, out))
    held: list[Any] = []
    with monkeypatch.context() as patched:
        patched.setattr(select_step, "join", lambda store, joining: held.append((store, joining)))
        a, b = (finished(text(one, out)) for one in (second, third))
    assert (a.findings.counts.preselected, b.findings.counts.preselected) == (4, 4)
    seen = pool(out)
    with monkeypatch.context() as patched:  # both writers list before either of them writes
        patched.setattr("worker.datapool.writing.read_version", lambda *_: seen)
        for store, joining in held:
            select_step.join(store, joining)
    assert [one.number for one in pool(out).increments] == [1, 2, 2]
    assert len(addresses(out)) == 12


def test_increment__what_a_newer_framesift_wrote_is_refused(tmp_path: Path) -> None:
    first, second = nights(tmp_path, 8, 8)
    finished(text(first, tmp_path / "out"))
    path = tmp_path / "out/.framesift/datapools/kept/pool.json"
    path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 2'))
    with pytest.raises(JobFailed, match=r"pool\.json: format 2; this framesift reads up to 1: update it"):
        select(prepared(text(second, tmp_path / "out")))
    path.write_text(path.read_text().replace('"format_version": 2', '"format_version": 1'))
    (path.parent / "g000001/v000002-x.delta").write_bytes(b"")
    with pytest.raises(JobFailed, match=r"holds 'v000002-x\.delta', which this framesift does not know"):
        select(prepared(text(second, tmp_path / "out")))


def test_report__draws_the_datapool(tmp_path: Path) -> None:
    first, second = nights(tmp_path, 12, 12)
    (first / "broken.jpg").write_bytes(jpeg(1)[:300])
    finished(text(first, tmp_path / "out"))
    outcome = run_job(text(second, tmp_path / "out"))
    result = tmp_path / "out/night" / outcome.job_id
    page = (result / "report.html").read_text()
    assert "The datapool holds 4 samples kept by earlier jobs" in page
    assert "Selected with datapool" in page
    assert "4 datapool and 4 selected samples" in page
    lightly = json.loads((result / "report_v2.json").read_text())
    sizes = lightly["generalInformation"]["datasetInformation"]["datasetSizes"]
    assert (sizes["nPreselectedDatapool"], sizes["nSelectedWithDatapool"]) == (4, 8)
    found = lightly["datasetAnalysis"]["embeddingInformation"]
    assert len(found["scatterPlotData"]["pcaEmbeddingData"]["datapool2dEmbeddings"]) == 4
    assert {"selected", "preselectedDatapool", "selectedWithDatapool"} <= found["distanceToCoverInput"].keys()
