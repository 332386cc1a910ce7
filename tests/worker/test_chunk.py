"""Chunks to facets."""

import tracemalloc
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tests.photos import make_photos
from tests.videos import Clip, make
from tests.worker.runs import job, prepared
from worker.chunk import Embedding, Work, compute_chunks
from worker.device import choose_device
from worker.facets import missing_facets, stored_key
from worker.layout import CHUNKS
from worker.media.preprocessing import Preprocessing
from worker.plan import list_sources, make_plan
from worker.runner import open_reader
from worker.video.reading import RUN_FRAMES

DIMENSION = 24


def second_is_broken(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    vectors = np.ones((len(images), DIMENSION), np.float32)
    if len(images) > 1:
        vectors[1] = np.nan
    return vectors


def test_compute_chunks__a_vector_that_is_not_finite_costs_its_sample(tmp_path: Path) -> None:
    make_photos(tmp_path / "in", 10)
    ready = prepared(job(tmp_path / "in", tmp_path / "out"))
    plan = make_plan(list_sources(ready.source), chunk_sources=16, planned_at="", terms=ready.terms)
    work = [Work(chunk, ready.facets) for chunk in plan.chunks]
    embedding = Embedding(second_is_broken, ready.identity.preprocessing, batch_size=4)
    with open_reader(ready, choose_device("cpu")) as reader:
        done = list(compute_chunks(work, reader=reader, embedding=embedding, output=ready.output, job_id="j"))
    assert [one.chunk for one in done] == list(plan.chunks)
    facet = next(facet for facet in ready.facets if facet.kind == "embedding")
    existing = {info.key for info in ready.output.list(CHUNKS)}
    reasons: list[str | None] = []
    for chunk in plan.chunks:
        assert missing_facets(chunk.digest, ready.facets, existing=existing, job_id="another") == ()
        key = stored_key(chunk.digest, facet, existing=existing, job_id="another")
        assert key is not None
        table = pq.read_table(BytesIO(ready.output.get(key)))
        reasons += table["reason"].to_pylist()
        assert [v is None for v in table["embedding"].to_pylist()] == [
            r is not None for r in table["reason"].to_pylist()
        ]
    assert [row for row, reason in enumerate(reasons) if reason == "not_finite"] == [1, 5, 9]
    assert reasons.count(None) == 7


def test_compute_chunks__frames_never_pile_up(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(make(Clip(frames=300, gop=12)))
    ready = prepared(job(tmp_path / "in", tmp_path / "out"))
    plan = make_plan(list_sources(ready.source), chunk_sources=16, planned_at="", terms=ready.terms)
    work = [Work(chunk, ready.facets) for chunk in plan.chunks]
    preprocessing = Preprocessing(resize=224, crop=224)
    embedding = Embedding(lambda images: np.ones((len(images), DIMENSION), np.float32), preprocessing, 8)
    tracemalloc.start()
    with open_reader(ready, choose_device("cpu")) as reader:
        (done,) = compute_chunks(work, reader=reader, embedding=embedding, output=ready.output, job_id="j")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert done.samples == 300
    held = RUN_FRAMES + 2 * embedding.batch_size  # those that wait for the model, and its batch with its copy
    assert peak < 1.7 * held * 224 * 224 * 3, "of 300 frames that would be 45 MB"
