import faiss
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.device import Device
from worker.selection import neighbours
from worker.selection.neighbours import GPU_NAMES, nearest, nearest_others, neighbourhoods

CPU = Device("cpu", "CPU", 2)


@pytest.fixture(params=["proposals", "tiles"], scope="module", autouse=True)
def way(request):
    """Search in either of the two exact ways, however little there is to do."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "tiles":
            patch.setattr(neighbours, "_FLAT_QUERIES", 0)
            patch.setattr(neighbours, "_FLAT_PAIRS", 0)
        yield request.param


def brute_force(queries, base, k):
    """Sum squared differences in float64 and sort, equal ones by row; some queries at a time."""
    squares = np.concatenate(
        [np.square(q[None].astype(np.float64) - base).sum(axis=1)[None] for q in queries]
    )
    rows = np.argsort(squares, axis=1, kind="stable")[:, :k]
    return np.sqrt(np.take_along_axis(squares, rows, axis=1)), rows


def assert_exact(x, k, *, memory_bytes=2**26):
    """Compare with the plain way; rows may swap where the two ways of adding up differ in the last digit."""
    distances, rows = nearest_others(x, k, device=CPU, memory_bytes=memory_bytes)
    expected, _ = brute_force(x, x, len(x))
    order = np.argsort(np.square(x[:, None].astype(np.float64) - x[None]).sum(axis=2), axis=1, kind="stable")
    own = order == np.arange(len(x))[:, None]
    np.testing.assert_allclose(distances, expected[~own].reshape(len(x), -1)[:, :k], rtol=1e-12)
    assert (rows != np.arange(len(x))[:, None]).all()
    assert all(len(set(row)) == k for row in rows.tolist())
    ties = np.diff(distances, axis=1) == 0
    assert (np.diff(rows, axis=1)[ties] > 0).all()
    return rows, order[~own].reshape(len(x), -1)[:, :k]


def clustered(rng, n, d):
    return (rng.standard_normal((12, d))[rng.integers(0, 12, n)] + 0.05 * rng.standard_normal((n, d))).astype(
        np.float32
    )


def duplicates(rng, n, d):
    return rng.standard_normal((n // 40, d)).astype(np.float32)[rng.integers(0, n // 40, n)]


def far_away(rng, n, d):
    return (1e4 + 1e-2 * rng.standard_normal((n, d))).astype(np.float32)


def one_outlier(rng, n, d):
    x = rng.standard_normal((n, d)).astype(np.float32)
    x[n // 2] = 1e8
    return x


def two_far_heaps(rng, n, d):
    return (rng.standard_normal((n, d)) + 1e6 * rng.integers(0, 2, (n, 1))).astype(np.float32)


def lattice(rng, n, d):
    return rng.integers(0, 3, (n, d)).astype(np.float32)


def identical(rng, n, d):
    return np.full((n, d), rng.standard_normal(), np.float32)


def tiny(rng, n, d):
    return (1e-30 * rng.standard_normal((n, d))).astype(np.float32)


def denormal(rng, n, d):
    return (1e-43 * rng.standard_normal((n, d))).astype(np.float32)


@pytest.mark.parametrize(
    "make", [denormal, clustered, duplicates, far_away, one_outlier, two_far_heaps, lattice, identical, tiny]
)
@pytest.mark.parametrize(("d", "memory_bytes"), [(1, 2**26), (8, 2**26), (8, 2**17), (32, 2**26)])
def test_nearest_others__hostile_data(make, d, memory_bytes):
    assert_exact(make(np.random.default_rng(d), 300, d), 20, memory_bytes=memory_bytes)


def test_nearest_others__many_dimensions():
    rows, expected = assert_exact(np.random.default_rng(0).standard_normal((150, 512)).astype(np.float32), 10)

    assert rows.tolist() == expected.tolist()


@pytest.mark.parametrize("kind", ["gaussian", "clustered"])
def test_nearest__over_many_cells(kind):
    rng = np.random.default_rng(3)
    x = (
        clustered(rng, 6000, 16)
        if kind == "clustered"
        else rng.standard_normal((6000, 16)).astype(np.float32)
    )
    queries = x[::300]

    distances, rows = nearest(queries, x, 20, device=CPU)
    _, all_rows = nearest_others(x, 19, device=CPU)

    expected, expected_rows = brute_force(queries, x, 20)
    np.testing.assert_allclose(distances, expected, rtol=1e-12)
    assert rows.tolist() == expected_rows.tolist()
    assert all_rows[::300].tolist() == expected_rows[:, 1:].tolist()


def test_nearest__k_may_be_large():
    x = np.random.default_rng(4).standard_normal((700, 5)).astype(np.float32)

    distances, rows = nearest(x[:20], x, 650, device=CPU)

    expected, expected_rows = brute_force(x[:20], x, 650)
    np.testing.assert_allclose(distances, expected, rtol=1e-12)
    assert rows.tolist() == expected_rows.tolist()


def test_nearest__threads_and_memory_change_nothing():
    x = np.random.default_rng(5).standard_normal((1200, 8)).astype(np.float32)
    one = nearest_others(x, 7, device=Device("cpu", "CPU", 1))
    other = nearest_others(x, 7, device=Device("cpu", "CPU", 3), memory_bytes=2**18)

    assert one[0].tobytes() == other[0].tobytes()
    assert one[1].tobytes() == other[1].tobytes()


def test_nearest__no_queries():
    distances, rows = nearest(np.empty((0, 3), np.float32), np.ones((4, 3), np.float32), 2, device=CPU)

    assert distances.shape == rows.shape == (0, 2)


def test_neighbourhoods__are_exact_up_to_the_limit():
    x = np.random.default_rng(7).standard_normal((300, 4)).astype(np.float32)

    found = neighbourhoods(x, 3, device=CPU, approximate_above=300)

    assert (found.method, found.recall, found.note) == ("exact", 1.0, "exact")
    assert found.rows.tolist() == nearest_others(x, 3, device=CPU)[1].tolist()


def test_neighbourhoods__an_inverted_file_says_its_recall():
    x = clustered(np.random.default_rng(8), 4000, 8)

    found = neighbourhoods(x, 10, device=CPU, approximate_above=1000)
    expected, _ = nearest_others(x, 10, device=CPU)

    assert found.method == "ivf"
    assert found.recall >= 0.99
    assert f"recall {found.recall:.4f} on 1000 sampled rows" in found.note
    assert (found.distances <= expected[:, -1:]).mean() > 0.98
    measured = np.linalg.norm(x[:, None].astype(np.float64) - x[found.rows], axis=2)
    np.testing.assert_allclose(found.distances, measured, rtol=1e-12)
    assert (found.rows != np.arange(4000)[:, None]).all()


def test_neighbourhoods__falls_back_to_exact_where_lists_do_not_help():
    x = np.random.default_rng(9).standard_normal((2000, 64)).astype(np.float32)

    found = neighbourhoods(x, 5, device=CPU, approximate_above=1000)

    assert (found.method, found.recall, found.sampled) == ("exact", 1.0, 2000)
    assert "below 0.99" in found.note
    assert found.distances.tobytes() == nearest_others(x, 5, device=CPU)[0].tobytes()


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    q=st.integers(1, 40),
    b=st.integers(1, 60),
    d=st.integers(1, 20),
    k=st.integers(1, 12),
    offset=st.sampled_from([0.0, 1e4]),
    memory_bytes=st.sampled_from([1, 2**15, 2**26]),
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
        (np.ones((1, 2)), np.full((3, 2), np.nan), 1, CPU, "base: all numbers should be finite"),
        (np.full((1, 2), np.inf), np.ones((3, 2)), 1, CPU, "queries: all numbers should be finite"),
        (np.full((1, 2), -2e37), np.ones((3, 2)), 1, CPU, "at most 1e\\+37 in size"),
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
@pytest.mark.parametrize("name", GPU_NAMES)
def test_faiss_gpu__offers_what_the_gpu_path_names(name):
    assert callable(getattr(faiss, name))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_nearest__a_gpu_finds_the_same():
    x = np.random.default_rng(1).standard_normal((500, 16)).astype(np.float32)
    on_gpu = nearest(x, x, 5, device=Device("cuda:0", "GPU", 1))
    on_cpu = nearest(x, x, 5, device=CPU)

    assert on_gpu[1].tolist() == on_cpu[1].tolist()
    assert on_gpu[0].tobytes() == on_cpu[0].tobytes()
