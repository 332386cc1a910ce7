import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.analysis import analyse as module
from worker.analysis.analyse import analyse
from worker.analysis.columns import NumericColumn, TextColumn
from worker.analysis.explain import explain
from worker.analysis.goals import Goals
from worker.device import Device
from worker.facts import Analysis

CPU = Device("cpu", "CPU", 1)
LINE = np.array([[0.0], [1.0], [3.0], [6.0], [10.0]], np.float32)


def analysed(embeddings: np.ndarray, selected: list[int], **more: object) -> Analysis:
    n, goals = len(embeddings), more.pop("goals", Goals())
    rows, candidates = np.array(selected, np.int64), more.pop("candidates", np.ones(n, bool))
    return analyse(
        embeddings,
        names=[f"{row}.jpg" for row in range(n)],
        selected=rows,
        candidates=candidates,
        goals=goals,
        explanation=explain(
            embeddings,
            goals=goals,
            selected=rows,
            candidates=candidates,
            before=np.flatnonzero(more.get("preselected", np.zeros(n, bool))),
            asked=max(1, len(rows)),
            seed=3,
            device=CPU,
        ),
        seed=3,
        device=CPU,
        **more,
    )


def test_analyse__measures_a_line_by_hand() -> None:
    found = analysed(LINE, [0, 4, 2])
    inside = found.diversity.of("input").metrics
    assert (inside.mean, inside.min, inside.max) == (pytest.approx((1 + 1 + 2 + 3 + 4) / 5), 1, 4)
    assert found.diversity.of("selected").metrics.mean == pytest.approx((3 + 3 + 7) / 3)
    covered = found.coverage.of("selected").metrics
    assert (covered.mean, covered.max) == (pytest.approx((0 + 1 + 0 + 3 + 0) / 5), 3)
    assert found.proof.insertion.distances == (10, 3)
    assert (found.proof.optimum_low, found.proof.optimum_high) == (1.5, 3)


def test_analyse__shows_the_closest_and_the_farthest_pairs() -> None:
    found = analysed(LINE, [0, 4, 2])
    closest, *_ = found.look_alikes
    assert (closest.kept, closest.dropped, closest.distance) == ("0.jpg", "1.jpg", 1)
    farthest, *_ = found.least_covered
    assert (farthest.kept, farthest.dropped, farthest.distance) == ("2.jpg", "3.jpg", 3)


def test_analyse__preselected_rows_are_no_input_but_cover_it() -> None:
    found = analysed(
        LINE,
        [4],
        candidates=np.array([False, True, True, True, True]),
        preselected=np.array([True, False, False, False, False]),
    )
    assert found.diversity.of("input").samples == 4
    assert found.diversity.of("selected").metrics.mean == 10
    assert found.coverage.of("selected").metrics.max == 9
    assert found.coverage.of("selected_with_datapool").metrics.max == 4
    assert found.coverage.of("datapool").metrics.max == 10
    assert found.diversity.of("selected_with_datapool").measured == 2
    assert found.picks[0].distance == 10


def test_analyse__one_sample_has_no_diversity() -> None:
    found = analysed(LINE[:1], [0])
    assert found.diversity.of("selected").metrics is None
    assert found.verdict.level == "none"
    assert found.proof.optimum_low is None


def test_analyse__an_empty_selection_has_no_coverage() -> None:
    found = analysed(LINE, [])
    assert found.coverage.of("selected").metrics is None
    assert found.picks == found.look_alikes == ()
    assert found.baseline.draws == 0


def test_analyse__an_empty_pool_is_described() -> None:
    found = analysed(np.empty((0, 3), np.float32), [])
    assert found.scatter.input == ()


def test_analyse__identical_samples_have_distance_zero() -> None:
    found = analysed(np.ones((6, 4), np.float32), [0, 1])
    assert found.diversity.of("input").metrics.max == 0
    assert found.proof.reason is not None


def test_analyse__a_spread_selection_beats_chance() -> None:
    rng = np.random.default_rng(1)
    clusters = np.repeat(rng.standard_normal((8, 6)) * 5, 25, axis=0)
    embeddings = (clusters + 0.1 * rng.standard_normal((200, 6))).astype(np.float32)
    found = analysed(embeddings, list(range(0, 200, 25)))
    assert found.verdict.level == "better"
    assert min(one.better_than for one in found.baseline.headlines) >= 99
    assert analysed(embeddings, list(range(8))).verdict.level == "worse"


def test_analyse__estimates_where_it_would_be_long_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    monkeypatch.setattr(module, "MAX_PAIRS", 1)
    monkeypatch.setattr(module.baseline, "MAX_PAIRS", 1)
    found = analysed(rng.standard_normal((1_200, 3)).astype(np.float32), list(range(40)))
    assert found.diversity.of("input").measured == 1_000
    assert (found.baseline.measured_rows, found.baseline.input_rows) == (1_000, 1_200)
    assert found.coverage.of("selected").measured == 1_200


def test_analyse__describes_columns() -> None:
    found = analysed(
        LINE,
        [1, 3],
        columns=[
            NumericColumn("size", "Size", "px", "header", np.array([1.0, 2, 3, 4, np.nan])),
            TextColumn("place", "Place", ["a", "b", "b", None, "c"]),
        ],
    )
    (size,), (place,) = found.measures, found.categories
    assert (size.missing, size.input.mean, size.selected.mean) == (1, 2.5, 3.0)
    assert dict(zip(place.values, place.input_counts, strict=True)) == {"b": 2, "a": 1, "c": 1}
    assert place.selected_counts == (1, 0, 0)


@settings(max_examples=8, deadline=None)
@given(n=st.integers(2, 30), d=st.integers(1, 5), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_analyse__holds_its_laws(n: int, d: int, seed: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    embeddings = rng.integers(-2, 3, (n, d)).astype(np.float32)
    selected = rng.permutation(n)[: data.draw(st.integers(1, n))].tolist()
    found = analysed(embeddings, selected)
    assert found == analysed(embeddings, selected)
    direct = np.linalg.norm(embeddings[:, None].astype(float) - embeddings[selected], axis=2).min(axis=1)
    assert found.coverage.of("selected").metrics.max == pytest.approx(direct.max(), abs=1e-6)
    assert found.proof.radius_candidates == found.proof.radius_pool
    if found.proof.optimum_low is not None:
        assert 0 < found.proof.optimum_low <= found.proof.optimum_high / 2 * (1 + 1e-9)
