import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.analysis.growth import Growth, grow
from worker.device import Device
from worker.selection.objectives import DiversityObjective

CPU = Device("cpu", "CPU", 1)
LINE = np.array([[0.0], [1.0], [3.0], [6.0], [10.0]], np.float32)


def grown(embeddings: np.ndarray, picks: list[int], before: list[int] = []) -> Growth:  # noqa: B006  # never changed
    return grow(embeddings, np.array(picks, np.int64), before=np.array(before, np.int64), device=CPU)


def test_grow__a_line_by_hand() -> None:
    found = grown(LINE, [0, 4, 2])
    assert found.inserted == pytest.approx([np.nan, 10, 3], nan_ok=True)
    assert found.nearest.tolist() == [2, 2, 0]
    assert found.distance.tolist() == [3, 7, 3]
    assert found.before.tolist() == [0, 0, 200]
    assert found.after.tolist() == [0, 200, 9 + 49 + 9]


def test_grow__what_was_kept_before_counts() -> None:
    found = grown(LINE, [4], before=[0, 1])
    assert found.inserted.tolist() == [9]
    assert found.nearest.tolist() == [1]
    assert (found.before[0], found.after[0]) == (2, 2 + 81)


def test_grow__twins_are_exactly_0_apart_and_the_earlier_of_equals_is_nearest() -> None:
    twins = np.full((4, 3), 0.1, np.float32)
    found = grown(twins, [2, 0, 3])
    assert found.inserted.tolist()[1:] == [0, 0]
    assert found.nearest.tolist() == [0, 2, 2]
    assert found.after.tolist() == [0, 0, 0]


def test_grow__one_pick_has_no_neighbour() -> None:
    found = grown(LINE, [3])
    assert np.isnan(found.inserted[0])
    assert np.isnan(found.distance[0])
    assert found.nearest.tolist() == [-1]


def test_grow__nothing_picked() -> None:
    assert len(grown(LINE, []).inserted) == 0


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(2, 90),
    d=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
    level=st.booleans(),
    data=st.data(),
)
def test_grow__is_the_objective_of_the_engines(
    n: int, d: int, seed: int, level: bool, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    embeddings = (rng.integers(-2, 3, (n, d)) if level else rng.standard_normal((n, d)) + 100).astype(
        np.float32
    )
    order = rng.permutation(n)
    kept = data.draw(st.integers(0, n - 1))
    picks = order[kept : kept + data.draw(st.integers(1, n - kept))]
    objective = DiversityObjective(embeddings)
    for row in order[:kept].tolist():
        objective.add(row)
    found = grown(embeddings, picks.tolist(), order[:kept].tolist())
    for step, row in enumerate(picks.tolist()):
        nearest = float(objective.nearest[row])
        assert found.inserted[step] == pytest.approx(
            np.sqrt(nearest) if np.isfinite(nearest) else np.nan, nan_ok=True
        )
        assert found.before[step] == pytest.approx(objective.value(), rel=1e-12)
        objective.add(row)
        assert found.after[step] == pytest.approx(objective.value(), rel=1e-12)
