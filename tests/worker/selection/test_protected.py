import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.device import Device
from worker.selection.exact import squared_distances
from worker.selection.protected import too_near
from worker.selection.rules import Protected

CPU = Device("cpu", "CPU", 1)


def brute_force(embeddings, candidates, vectors, radius):
    rows = embeddings[candidates]
    distances = np.sqrt([squared_distances(rows, vector[None]) for vector in vectors])
    return candidates[(distances <= radius).any(axis=0)]


def closed(embeddings, vectors, radius, *, candidates=None, **options):
    rows = np.arange(len(embeddings)) if candidates is None else candidates
    return too_near(embeddings, rows, Protected(vectors, radius), device=CPU, **options).tolist()


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 60),
    st.integers(1, 40),
    st.sampled_from([1, 3, 17]),
    st.sampled_from([1e-30, 1e-3, 1.0, 1e12]),
    st.sampled_from([0.0, 1e5]),
    st.sampled_from([1, 4096, 2**26]),
)
def test_too_near__is_what_differences_in_float64_give(seed, n, p, d, scale, offset, memory_bytes):
    rng = np.random.default_rng(seed)
    embeddings = ((rng.standard_normal((n, d)) + offset) * scale).astype(np.float32)
    vectors = ((rng.standard_normal((p, d)) + offset) * scale).astype(np.float32)
    vectors[: p // 2] = embeddings[rng.integers(0, n, p // 2)]
    candidates = np.flatnonzero(rng.random(n) < 0.8)
    between = np.sqrt(squared_distances(embeddings, vectors[-1:]))
    for radius in (
        0.0,
        float(between[n // 2]),
        float(np.nextafter(between[n // 2], 0)),
        float(between.max()),
    ):
        found = closed(embeddings, vectors, radius, candidates=candidates, memory_bytes=memory_bytes)
        assert found == brute_force(embeddings, candidates, vectors, radius).tolist()


def test_too_near__closes_only_exact_copies_with_radius_0():
    row = np.float32(0.1)
    embeddings = np.array([[row, 1], [np.nextafter(row, np.float32(1)), 1], [row, 1], [0, 0]], np.float32)
    assert closed(embeddings, embeddings[[0]], 0.0) == [0, 2]


def test_too_near__goes_through_all_runs_of_many_vectors():
    embeddings = np.arange(3000, dtype=np.float32)[:, None] * 10
    assert closed(embeddings, embeddings[::2] + 1, 1.0) == list(range(0, 3000, 2))


def test_too_near__finds_nothing_near_no_vectors():
    assert closed(np.ones((3, 2), np.float32), np.empty((0, 2), np.float32), 1.0) == []
    assert (
        closed(np.ones((3, 2), np.float32), np.ones((1, 2), np.float32), 1.0, candidates=np.arange(0)) == []
    )


@pytest.mark.parametrize(
    ("vectors", "radius", "text"),
    [
        (np.ones((2, 3), np.float32), 1.0, r"should be \(p, 2\) float32, got float32 of shape \(2, 3\)"),
        (np.ones((2, 2)), 1.0, "got float64"),
        (np.array([[0, 1], [np.nan, 1]], np.float32), 1.0, "embedding 1 holds NaN"),
        (np.ones((2, 2), np.float32), -1.0, "0 or more, got -1.0"),
        (np.ones((2, 2), np.float32), np.inf, "finite"),
    ],
)
def test_too_near__refuses(vectors, radius, text):
    with pytest.raises(ValueError, match=text):
        closed(np.ones((3, 2), np.float32), vectors, radius)
