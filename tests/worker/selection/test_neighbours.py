import faiss
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.device import Device
from worker.selection.neighbours import nearest, nearest_others

CPU = Device("cpu", "CPU", 2)


def brute_force(queries, base, k):
    distances = np.linalg.norm(queries[:, None].astype(np.float64) - base[None].astype(np.float64), axis=2)
    rows = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, rows, axis=1), rows


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    q=st.integers(1, 40),
    b=st.integers(1, 60),
    d=st.integers(1, 20),
    k=st.integers(1, 12),
    offset=st.sampled_from([0.0, 1e4]),
    memory_bytes=st.sampled_from([1, 5000, 2**26]),
)
def test_nearest__equals_brute_force(*, seed, q, b, d, k, offset, memory_bytes):
    rng = np.random.default_rng(seed)
    queries = (rng.standard_normal((q, d)) + offset).astype(np.float32)
    base = (rng.standard_normal((b, d)) + offset).astype(np.float32)
    expected, expected_rows = brute_force(queries, base, k)

    distances, rows = nearest(queries, base, k, device=CPU, memory_bytes=memory_bytes)

    np.testing.assert_allclose(distances, expected, rtol=1e-12, atol=1e-300)
    assert rows.tolist() == expected_rows.tolist()


def test_nearest__a_tiny_distance_keeps_its_digits():
    base = np.array([[1.0, 0.0], [1.0, 1e-6]], np.float32)

    distances, rows = nearest(base[:1], base, 2, device=CPU)

    assert rows.tolist() == [[0, 1]]
    assert distances[0].tolist() == [0.0, float(np.float32(1e-6))]


def test_nearest_others__twins_are_at_zero_and_nobody_is_its_own_neighbour():
    x = np.array([[0.0], [5.0], [0.0], [7.0]], np.float32)

    distances, rows = nearest_others(x, 1, device=CPU)

    assert distances.ravel().tolist() == [0.0, 2.0, 0.0, 2.0]
    assert rows.ravel().tolist() == [2, 3, 0, 1]


def test_nearest_others__more_twins_than_are_searched():
    distances, rows = nearest_others(np.ones((50, 3), np.float32), 2, device=CPU)

    assert (distances == 0).all()
    assert (rows != np.arange(50)[:, None]).all()


def test_nearest_others__all_of_them():
    x = np.random.default_rng(0).standard_normal((9, 3)).astype(np.float32)

    distances, rows = nearest_others(x, 100, device=CPU)

    assert np.sort(rows, axis=1).tolist() == [[r for r in range(9) if r != own] for own in range(9)]
    assert (np.diff(distances, axis=1) >= 0).all()


@pytest.mark.parametrize(
    ("queries", "base", "k", "device", "text"),
    [
        (np.ones((1, 2)), np.ones((3, 2)), 0, CPU, "k should be at least 1, got 0"),
        (np.ones((1, 2)), np.ones((3, 3)), 1, CPU, "should share d"),
        (np.ones((1, 2)), np.ones((0, 2)), 1, CPU, "b be at least 1"),
        (np.ones((1, 2)), np.ones((3000, 2)), 2041, Device("cuda:0", "GPU", 1), "at most 2040"),
    ],
)
def test_nearest__refuses(queries, base, k, device, text):
    with pytest.raises(ValueError, match=text):
        nearest(queries.astype(np.float32), base.astype(np.float32), k, device=device)


def test_nearest_others__refuses_a_single_row():
    with pytest.raises(ValueError, match="at least 2"):
        nearest_others(np.ones((1, 2), np.float32), 1, device=CPU)


def test_nearest__torch_and_faiss_keep_their_threads():
    before = torch.get_num_threads(), faiss.omp_get_max_threads()

    nearest(np.ones((30, 4), np.float32), np.ones((30, 4), np.float32), 3, device=CPU)

    assert (torch.get_num_threads(), faiss.omp_get_max_threads()) == before


@pytest.mark.skipif(not hasattr(faiss, "GpuIndexFlat"), reason="faiss-cpu is installed")
@pytest.mark.parametrize("name", ["StandardGpuResources", "knn_gpu"])
def test_faiss_gpu__offers_what_the_gpu_path_names(name):
    assert callable(getattr(faiss, name))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_nearest__a_gpu_finds_the_same():
    x = np.random.default_rng(1).standard_normal((500, 16)).astype(np.float32)
    on_gpu = nearest(x, x, 5, device=Device("cuda:0", "GPU", 1))
    on_cpu = nearest(x, x, 5, device=CPU)

    assert on_gpu[1].tolist() == on_cpu[1].tolist()
    assert on_gpu[0].tobytes() == on_cpu[0].tobytes()
