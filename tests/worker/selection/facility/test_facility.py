import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.device import Device
from worker.selection.facility.coverage_tables import Dense, Points, Sparse, side_by_side
from worker.selection.facility.facility import FacilityLocation

CPU = Device("cpu", "CPU", 2)
NOTHING = np.empty((0, 3), np.float32)


def some_points(seed, *, p=40, m=40, s=0):
    rng = np.random.default_rng(seed)
    owners = np.arange(m) if p == m else np.sort(rng.integers(0, m, p))
    return Points(
        vectors=rng.standard_normal((p, 3)).astype(np.float32),
        owners=owners,
        m=m,
        selected=rng.standard_normal((s, 3)).astype(np.float32),
        weights=rng.random(p),
    )


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    p=st.sampled_from([2, 30, 40]),
    s=st.integers(0, 3),
    small=st.integers(0, 4),
    more=st.integers(0, 4),
    memory_bytes=st.sampled_from([64 * 40 * 17, 2**30]),
)
def test_facility_location__what_a_candidate_adds_never_grows(*, seed, p, s, small, more, memory_bytes):
    order = np.random.default_rng(seed).permutation(40)
    with side_by_side(CPU) as every:
        facility = FacilityLocation(
            some_points(seed, p=p, s=s), device=CPU, every=every, memory_bytes=memory_bytes
        )
        gains = [facility.bounds.copy()]
        for row in order[: small + more].tolist():
            facility.add(row)
            facility.refresh(np.arange(40))
            gains.append(facility.bounds.copy())

    assert (gains[-1] >= 0).all()
    assert (gains[-1] <= gains[small] * (1 + 1e-12)).all()
    assert (gains[-1][order[: small + more]] == 0).all()


@pytest.mark.parametrize(("p", "s"), [(40, 0), (40, 3), (25, 2), (90, 1)])
def test_sparse__knows_as_much_as_dense_with_all_neighbours(p, s):
    points = some_points(p, p=p, s=s)
    everyone = np.arange(40)
    with side_by_side(CPU) as every:
        dense = Dense(points, device=CPU, every=every)
        sparse = Sparse(points, device=CPU, neighbours=p - 1)
        for row in (3, 17, 30):
            np.testing.assert_allclose(sparse.gains(everyone), dense.gains(everyone), rtol=1e-14)
            dense.add(row)
            sparse.add(row)
        dense.restart()
        sparse.restart()

        np.testing.assert_allclose(sparse.gains(everyone), dense.gains(everyone), rtol=1e-14)


def test_dense__sums_are_exact_with_equal_weights():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((700, 50)).astype(np.float32)
    points = Points(x, np.arange(700), 700, x[:0], np.ones(700))
    with side_by_side(CPU) as every:
        gains = Dense(points, device=CPU, every=every).gains(np.arange(700))

    sparse = Sparse(points, device=CPU, neighbours=699).gains(np.arange(700))
    assert gains.tolist() == sparse.tolist()
    assert (gains == np.rint(gains)).all()


def test_dense__rounding_is_below_a_millionth():
    rng = np.random.default_rng(0)
    x = (1000 + rng.standard_normal((60, 2048))).astype(np.float32)
    points = Points(x, np.arange(60), 60, x[:0], np.ones(60))
    with side_by_side(CPU) as every:
        gains = Dense(points, device=CPU, every=every).gains(np.arange(60)) / 2**24

    wide = x.astype(np.float64)
    distances = np.linalg.norm(wide[:, None] - wide, axis=2)
    similarities = 1 - distances / (2 * np.linalg.norm(wide - wide.mean(axis=0), axis=1).max())
    np.testing.assert_allclose(gains, similarities.sum(axis=1), rtol=1e-6)


def test_facility_location__says_what_memory_it_needs():
    points = some_points(0, p=1000, m=1000)
    with (
        side_by_side(CPU) as every,
        pytest.raises(ValueError, match="1000 points need 1088000 bytes at least"),
    ):
        FacilityLocation(points, device=CPU, every=every, memory_bytes=10**6)


def test_facility_location__candidates_without_points_add_nothing():
    points = Points(NOTHING, np.empty(0, np.int64), 4, NOTHING, np.empty(0))
    with side_by_side(CPU) as every:
        facility = FacilityLocation(points, device=CPU, every=every, memory_bytes=1)

    assert facility.bounds.tolist() == [0.0] * 4
