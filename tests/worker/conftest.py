"""Facts of made-up jobs, for the tests of the report."""

from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from worker.analysis.analyse import analyse
from worker.analysis.columns import NumericColumn, TextColumn
from worker.device import Device
from worker.facts import (
    Counts,
    EmbeddingFacts,
    Facts,
    JobFacts,
    RunFacts,
    SkippedExample,
    StageTime,
    StrategyFacts,
)

MakeFacts = Callable[..., Facts]


@pytest.fixture
def make_facts() -> MakeFacts:
    """Build facts from a pool of `n` samples of which the first `k` are picked; `name` maps a row to its name."""
    return _facts


@pytest.fixture
def jpeg() -> bytes:
    out = BytesIO()
    Image.new("RGB", (40, 30), (200, 80, 20)).save(out, "JPEG")
    return out.getvalue()


def _facts(
    n: int = 40, k: int = 8, *, name: Callable[[int], str] = "day/{}.jpg".format, **more: Any
) -> Facts:
    rng = np.random.default_rng(11)
    analysis = analyse(
        rng.standard_normal((n, 5)).astype(np.float32),
        names=[name(row) for row in range(n)],
        selected=np.arange(k),
        candidates=np.ones(n, bool),
        columns=[
            NumericColumn("luminance", "Luminance", "0 to 1", "reduced pixels", rng.random(n)),
            TextColumn("weather", "Weather", [name(row % 3) for row in range(n)]),
        ],
        seed=0,
        device=Device("cpu", "CPU", 1),
    )
    content: dict[str, Any] = {
        "job": JobFacts(id="job-1", name="night", config={"kind": "selection", "seed": 0}, seed=0),
        "counts": Counts(
            listed=n + 7,
            ignored=2,
            skipped={"truncated": 3},
            read=n + 2,
            samples=n + 2,
            duplicates=2,
            pool=n,
            dropped=0,
            candidates=n,
            asked=k,
            selected=k,
        ),
        "embedding": EmbeddingFacts(
            model="colour_histogram",
            weights_sha256="none",
            preprocessing={"crop": 64, "resize": 64},
            licence="Apache-2.0",
            dimension_model=24,
            dimension=5,
            explained_variance=0.9,
            normalised=True,
        ),
        "strategies": (StrategyFacts(type="DIVERSITY", input="EMBEDDINGS"),),
        "analysis": analysis,
        "skipped_examples": (SkippedExample(source=name(0), reason="truncated", detail="ends early"),),
        "warnings": ("one thing to know",),
        "digests": {"plan": "00" * 32},
        "run": RunFacts(
            started_at=datetime(2026, 11, 22, 5, tzinfo=UTC),
            finished_at=datetime(2026, 11, 22, 5, 1, tzinfo=UTC),
            stages=(StageTime(name="embed", duration_s=40.0),),
            images_per_s=1.5,
            requests={"GET": 9},
            bytes_read=2_000,
            bytes_written=10,
            device="CPU",
            host="here",
            versions={"framesift": "0.1.0"},
            attempts=1,
        ),
    }
    return Facts(**content | more)
