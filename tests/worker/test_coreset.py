"""Picks of several finished jobs, and whether the printed bound is true."""

from pathlib import Path

import numpy as np
import pytest

from tests.photos import jpeg, make_photos
from tests.worker.runs import job, prepared, select
from worker.coreset import Coreset, Pick, select_of_jobs
from worker.device import Device
from worker.earlier import embedding_keys, stored_facets
from worker.errors import JobRejected
from worker.facet_files import read_facet, vectors_of
from worker.projection import normalize
from worker.runner import Made
from worker.storage.local import LocalStore

CPU = Device("cpu", "CPU", 1)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def shards(out: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Made]:
    """Three finished jobs over three folders, each reduced by a PCA of its own; one has a broken photo and a copy."""
    folder = tmp_path_factory.mktemp("in")
    for shard in range(3):
        make_photos(folder / str(shard), 20 + shard, first=100 * shard)
    (folder / "1" / "broken.jpg").write_bytes(jpeg(5)[:300])
    (folder / "1" / "copy.jpg").write_bytes(jpeg(103))
    made = [select(prepared(job(folder / str(shard), out, name=f"shard {shard}"))) for shard in range(3)]
    for one in made:
        one.results.close("done")
    return made


def composed(out: Path, shards: list[Made], n: int, *, ids: list[str] | None = None) -> Coreset:
    settings = prepared(job("/in", "/out")).settings
    given = ids or [one.results.job_id for one in shards]
    return select_of_jobs(LocalStore(out), given, n, settings=settings, device=CPU)


def vectors(out: Path, made: Made) -> tuple[list[str], np.ndarray]:
    embedding = next(one for one in prepared(job("/in", "/out")).facets if one.kind == "embedding")
    store = LocalStore(out)
    keys = embedding_keys(
        store, made.results.job_id, embedding=embedding, at="test", stored=stored_facets(store)
    )
    tables = [read_facet(store, key) for key in keys]
    kept = [(table["reason"].is_null()).to_numpy() for table in tables]
    names = [
        name
        for table, keep in zip(tables, kept, strict=True)
        for name in np.array(table["sample"].to_pylist())[keep]
    ]
    rows = np.concatenate([vectors_of(table)[keep] for table, keep in zip(tables, kept, strict=True)])
    return names, normalize(rows).astype(np.float64)


def test_select_of_jobs__every_sample_is_within_the_bound(out: Path, shards: list[Made]) -> None:
    found = composed(out, shards, 5)
    assert len(set(found.picks)) == len(found.picks) == 5
    by_job = {made.results.job_id: made for made in shards}
    assert all(pick.sample in by_job[pick.job].findings.selected for pick in found.picks)
    assert [(one.samples, one.selected) for one in found.shards] == [(20, 6), (22, 6), (22, 6)]
    everything = {made.results.job_id: vectors(out, made) for made in shards}
    chosen = np.array(
        [everything[pick.job][1][everything[pick.job][0].index(pick.sample)] for pick in found.picks]
    )
    for shard in found.shards:
        names, rows = everything[shard.job]
        own = rows[[names.index(name) for name in by_job[shard.job].findings.selected]]
        assert shard.radius == pytest.approx(_reach(rows, own), abs=1e-6)
    whole = np.concatenate([rows for _, rows in everything.values()])
    assert found.radius == pytest.approx(_reach(whole, chosen), abs=1e-6)
    assert 0 < found.lowest <= found.radius <= found.bound < 2


def test_select_of_jobs__more_than_there_are_gives_all(out: Path, shards: list[Made]) -> None:
    found = composed(out, shards, 1000)
    assert set(found.picks) == {
        Pick(one.results.job_id, name) for one in shards for name in one.findings.selected
    }
    assert found.lowest == 0.0
    assert found.radius <= found.bound == max(one.radius for one in found.shards)


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        (["../x"], "should be ids such as"),
        (["20260101T000000Z-000000000000"], "no job '20260101T000000Z-000000000000'"),
    ],
)
def test_select_of_jobs__refuses_what_is_no_finished_job(
    out: Path, shards: list[Made], ids: list[str], says: str
) -> None:
    with pytest.raises(JobRejected, match=r"^--jobs: ") as caught:
        composed(out, shards, 3, ids=ids)
    assert says in str(caught.value)


def test_select_of_jobs__refuses_one_job_twice_and_one_that_goes_on(
    out: Path, shards: list[Made], tmp_path: Path
) -> None:
    first = shards[0].results.job_id
    with pytest.raises(JobRejected, match="is given twice"):
        composed(out, shards, 3, ids=[first, first])
    make_photos(tmp_path, 4)
    made = select(prepared(job(tmp_path, out, name="other")))
    with pytest.raises(JobRejected, match="did not end"):
        composed(out, shards, 3, ids=[first, made.results.job_id])


def _reach(rows: np.ndarray, chosen: np.ndarray) -> float:
    return float(np.sqrt(((rows[:, None] - chosen[None]) ** 2).sum(axis=2)).min(axis=1).max())
