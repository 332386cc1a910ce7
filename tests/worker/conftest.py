"""Facts of made-up jobs, for the tests of the report."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from worker.analysis.analyse import analyse
from worker.analysis.columns import NumericColumn, TextColumn
from worker.analysis.explain import explain
from worker.analysis.goals import Goal, Goals, NamedQuota
from worker.device import Device
from worker.facts import (
    Analysis,
    Counts,
    EmbeddingFacts,
    Facts,
    JobFacts,
    RunFacts,
    SkippedExample,
    StageTime,
    StrategyFacts,
)
from worker.selection.rules import Quota
from worker.selection.terms import Balance, Diversity, Weights

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
    analysis = _analysis(n, k, name)
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


@cache
def _analysis(n: int, k: int, name: Callable[[int], str]) -> Analysis:
    rng = np.random.default_rng(11)
    embeddings, device = rng.standard_normal((n, 5)).astype(np.float32), Device("cpu", "CPU", 1)
    goals = _goals(n, name)
    return analyse(
        embeddings,
        names=[name(row) for row in range(n)],
        selected=np.arange(k),
        candidates=np.ones(n, bool),
        goals=goals,
        explanation=explain(
            embeddings,
            goals=goals,
            selected=np.arange(k),
            candidates=np.ones(n, bool),
            before=np.arange(0),
            asked=k,
            seed=0,
            device=device,
        ),
        columns=[
            NumericColumn("luminance", "Luminance", "0 to 1", "reduced pixels", rng.random(n)),
            TextColumn("weather", "Weather", [name(row % 3) for row in range(n)]),
        ],
        seed=0,
        device=device,
    )


def _goals(n: int, name: Callable[[int], str]) -> Goals:
    """Return three strategies that pull apart, and a quota that cannot be met; names from outside throughout."""
    labels = np.arange(n) % 3
    shares = np.eye(3)[labels]
    return Goals(
        terms=(
            Goal("diversity", Diversity()),
            Goal(f"weights of {name(0)}", Weights(np.arange(n) / max(1, n))),
            Goal(
                f"balance of {name(1)}",
                Balance(shares, np.array([0.7, 0.2, 0.1])),
                (name(0), name(1), name(2)),
            ),
        ),
        quotas=(
            NamedQuota(
                name(2), (name(0), name(1), name(2)), Quota(labels, np.array([n, 0, 0]), np.array([n, 1, n]))
            ),
        ),
        protected_count=2,
        ended="rules",
    )
