import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from worker.projection import FORMAT_VERSION, Projection, fit, normalize

Rows = NDArray[np.float32]


def _rows(n: int, d: int, *, seed: int = 0) -> Rows:
    """Return correlated rows far from the origin."""
    draw = np.random.default_rng(seed)
    spread = draw.normal(size=(d, d)) * np.geomspace(3, 0.1, d)
    return (draw.normal(size=(n, d)) @ spread.T + 50).astype(np.float32)


def _cut(rows: Rows, *sizes: int) -> Iterator[Rows]:
    start = 0
    for size in sizes:
        yield rows[start : start + size]
        start += size
    yield rows[start:]


@pytest.mark.parametrize(("n", "d", "asked"), [(3000, 24, 8), (40, 24, 24), (10, 24, 32)])
def test_fit__is_sklearns(n: int, d: int, asked: int) -> None:
    rows = _rows(n, d)
    found = fit([rows], asked)
    kept = min(asked, d, n - 1)
    assert found.dimension == kept
    reference = PCA(n_components=kept, svd_solver="full").fit(rows.astype(np.float64))
    assert found.components is not None
    signs = np.sign((found.components * reference.components_).sum(axis=1))
    np.testing.assert_allclose(found.components, signs[:, None] * reference.components_, atol=1e-6)
    np.testing.assert_allclose(found.mean, reference.mean_, rtol=1e-10)
    np.testing.assert_allclose(found.explained, reference.explained_variance_ratio_.sum(), rtol=1e-8)
    expected = signs * reference.transform(rows.astype(np.float64))
    np.testing.assert_allclose(found.apply(rows), expected, atol=1e-4)


def test_fit__does_not_depend_on_the_blocks() -> None:
    rows = _rows(2500, 16)
    whole = fit([rows], 5)
    for sizes in [(1, 1023, 1025), (7,) * 100, (0, 2499, 0)]:
        assert fit(_cut(rows, *sizes), 5).to_bytes() == whole.to_bytes()


def test_fit__largest_entry_is_positive() -> None:
    found = fit([_rows(200, 8)], 8)
    assert found.components is not None
    strongest = np.abs(found.components).argmax(axis=1)
    assert (found.components[np.arange(8), strongest] > 0).all()


def test_fit__first_of_equal_entries_is_positive() -> None:
    found = fit([np.array([[1, -1], [-1, 1]], np.float32)], 1)
    np.testing.assert_allclose(found.components, [[0.5**0.5, -(0.5**0.5)]])


def test_fit__by_hand() -> None:
    found = fit([np.array([[0, 1], [4, 1], [8, 1]], np.float32)], 1)
    np.testing.assert_allclose(found.apply(np.array([[0, 1], [5, 9]], np.float32)), [[-4], [1]])
    assert found.explained == 1.0


@pytest.mark.parametrize(
    ("rows", "dimension"),
    [
        (np.full((5, 3), 0.1, np.float32), 3),  # constant
        (np.full((1, 3), 7, np.float32), 1),  # one row
        (np.full((2000, 3), 0.1, np.float32), 3),
    ],
)
def test_fit__without_variance(rows: Rows, dimension: int) -> None:
    found = fit([rows], 3)
    assert found.dimension == dimension
    assert found.explained == 1.0
    np.testing.assert_array_equal(found.apply(rows), np.zeros((len(rows), dimension)))


def test_fit__two_rows_keep_their_distance() -> None:
    rows = np.array([[1, 2, 2], [0, 0, 0]], np.float32)
    found = fit([rows], 3)
    assert found.dimension == 1
    np.testing.assert_allclose(found.apply(rows), [[1.5], [-1.5]])


def test_fit__one_number_each() -> None:
    rows = np.array([[3], [1], [2]], np.float32)
    np.testing.assert_allclose(fit([rows], 32).apply(rows), [[1], [-1], [0]])


def test_fit__duplicates_leave_directions_without_variance_at_zero() -> None:
    rows = np.repeat(_rows(3, 6), 10, axis=0)
    reduced = fit([rows], 6).apply(rows)
    assert reduced.shape == (30, 6)
    assert (reduced[:, 2:] == 0).all()
    assert (reduced[:, :2] != 0).all()


def test_fit__no_reduction_still_reads_everything() -> None:
    rows = _rows(10, 4)
    read = []
    found = fit((read.append(len(block)) or block for block in _cut(rows, 3, 3)), None)
    assert read == [3, 3, 4]
    assert found.dimension == 4
    assert found.apply(rows) is rows
    assert found.explained == 1.0


def test_fit__no_rows() -> None:
    with pytest.raises(ValueError, match="no rows"):
        fit([np.empty((0, 4), np.float32)], 2)


def test_fit__memory_does_not_grow_with_the_rows() -> None:
    block = _rows(1000, 64)
    tracemalloc.start()
    try:
        found = fit((block for _ in range(300)), 32)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.dimension == 32
    assert peak_bytes < 8 * 2**20  # the rows together are 77 MB


def test_normalize__lengths() -> None:
    rows = np.array([[3, 4], [0, 0], [1e-30, 0]], np.float32)
    np.testing.assert_allclose(normalize(rows), [[0.6, 0.8], [0, 0], [1, 0]], rtol=1e-6)
    assert rows[0, 0] == 3


def test_normalize__in_place_over_several_blocks() -> None:
    rows = _rows(2500, 3)
    expected = rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    assert normalize(rows, out=rows) is rows
    np.testing.assert_allclose(rows, expected, rtol=1e-6)


@pytest.mark.parametrize("dimension", [None, 3])
def test_from_bytes__what_was_stored(dimension: int | None) -> None:
    rows = _rows(20, 5)
    stored = fit([rows], dimension)
    body = stored.to_bytes()
    found = Projection.from_bytes(body)
    assert found.to_bytes() == body
    np.testing.assert_array_equal(found.apply(rows), stored.apply(rows))


def test_from_bytes__a_newer_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.projection.FORMAT_VERSION", FORMAT_VERSION + 1)
    body = fit([_rows(3, 2)], 1).to_bytes()
    monkeypatch.undo()
    with pytest.raises(ValueError, match="format 2; this framesift reads up to 1: update it"):
        Projection.from_bytes(body)


def test_from_bytes__something_else() -> None:
    body = fit([_rows(3, 2)], 1).to_bytes()
    for wrong in (b"", b"not an npz file", body[: len(body) // 2]):
        with pytest.raises(ValueError, match="projection: cannot be read"):
            Projection.from_bytes(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        Projection(np.zeros(3), np.zeros((2, 4)), 0.5),
        Projection(np.zeros(3), np.zeros((2, 3)), 1.5),
        Projection(np.full(3, np.nan), None, 1.0),
    ],
)
def test_from_bytes__arrays_that_do_not_fit(wrong: Projection) -> None:
    with pytest.raises(ValueError, match="projection: its"):
        Projection.from_bytes(wrong.to_bytes())
