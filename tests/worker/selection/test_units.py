import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.selection.pool import Pool
from worker.selection.rules import Quota, Rules, Windows
from worker.selection.terms import Balance, Diversity, Objects, Weights
from worker.selection.units import units
from worker.selection.windows import window_starts

NONE = np.empty(0, np.int64)


def rows_of(found):
    return [found.expand(np.array([unit])).tolist() for unit in range(len(found.pool))]


def drawn(seed, n, d=3):
    """Return a pool, groups and preselected rows at random."""
    rng = np.random.default_rng(seed)
    pool = Pool(rng.standard_normal((n, d)).astype(np.float32), rng.random(n) < 0.7)
    return pool, rng.integers(-1, max(1, n // 3), n), np.sort(rng.permutation(n)[: n // 6])


def expected_rows(pool, groups, preselected):
    """Return the rows of every unit, told one row after another."""
    found, place = [], {}
    for row in range(len(pool)):
        if row in preselected or (pool.candidates[row] and groups[row] < 0):
            found.append([row])
        elif pool.candidates[row] and groups[row] in place:
            found[place[groups[row]]].append(row)
        elif pool.candidates[row]:
            place[groups[row]] = len(found)
            found.append([row])
    return found


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_units__are_the_candidates_of_each_group_in_the_order_of_first_rows(seed, n):
    pool, groups, preselected = drawn(seed, n)
    found = units(pool, [], Rules(groups=groups), preselected)
    expected = expected_rows(pool, groups, preselected)
    assert rows_of(found) == expected
    assert found.sizes.tolist() == [len(rows) for rows in expected]
    assert [expected[unit] for unit in found.preselected] == [[row] for row in preselected]
    assert set(np.flatnonzero(~found.pool.candidates)) == set(found.preselected)
    every = found.expand(np.arange(len(expected)))
    assert sorted(every) == np.flatnonzero(pool.candidates | np.isin(np.arange(n), preselected)).tolist()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_units__pool_what_their_rows_bring(seed, n):
    pool, groups, preselected = drawn(seed, n)
    rng = np.random.default_rng(seed)
    values, shares = rng.random(n), rng.random((n, 4))
    owners = np.sort(rng.integers(0, n, 2 * n))
    objects = Objects(rng.standard_normal((2 * n, 2)).astype(np.float32), owners)
    labels = rng.integers(-1, 3, n)
    quota = Quota(labels, np.array([1, 0, 0]), np.array([5, 5, 5]))
    terms = [
        Diversity(strength=2.0),
        Diversity(objects=objects, minimum_distance=0.5),
        Weights(values, strength=3.0, stop_at_sum=9.0, target=(1.0, 2.0)),
        Balance(shares, np.full(4, 0.25)),
    ]
    found = units(pool, terms, Rules((quota,), groups), preselected)
    plain, owned, weights, balance = found.terms
    assert plain == terms[0]
    assert (owned.minimum_distance, weights.strength, weights.stop_at_sum) == (0.5, 3.0, 9.0)
    assert weights.target == (1.0, 2.0)
    assert (np.diff(owned.objects.owners) >= 0).all()
    assert found.quotas[0].at_least.tolist() == [1, 0, 0]
    for unit, rows in enumerate(rows_of(found)):
        mean = pool.embeddings[rows].astype(np.float64).mean(axis=0)
        np.testing.assert_allclose(found.pool.embeddings[unit], mean, rtol=1e-6)
        np.testing.assert_allclose(weights.values[unit], values[rows].sum(), rtol=1e-12)
        np.testing.assert_allclose(balance.shares[unit], shares[rows].sum(axis=0), rtol=1e-12)
        theirs = np.concatenate([np.flatnonzero(owners == row) for row in rows])
        np.testing.assert_array_equal(
            owned.objects.embeddings[owned.objects.owners == unit], objects.embeddings[theirs]
        )
        counts = [int((labels[rows] == label).sum()) for label in range(3)]
        assert found.quotas[0].counts.toarray()[unit].tolist() == counts


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(4, 40), st.sampled_from(["mean", "max", "first"]), st.data())
def test_units__of_windows_pool_what_their_rows_bring(seed, n, pooling, data):
    rng = np.random.default_rng(seed)
    pool = Pool(rng.standard_normal((n, 3)).astype(np.float32), rng.random(n) < 0.9)
    preselected = np.sort(rng.permutation(n)[: n // 8])
    length = data.draw(st.integers(1, 4))
    stride = data.draw(st.integers(1, length))
    starts = window_starts(np.sort(rng.integers(0, 3, n)), length, stride=stride)
    values, shares, labels = rng.random(n), rng.random((n, 2)), rng.integers(-1, 3, n)
    owners = np.sort(rng.integers(0, n, 2 * n))
    objects = Objects(rng.standard_normal((2 * n, 2)).astype(np.float32), owners)
    quota = Quota(labels, np.zeros(3, np.int64), np.full(3, 9))
    terms = [Weights(values, stop_below=0.5), Balance(shares, np.full(2, 0.5)), Diversity(objects=objects)]

    found = units(pool, terms, Rules((quota,), windows=Windows(starts, length, pooling)), preselected)

    sums, means, balance, owned = found.terms
    free = pool.candidates & ~np.isin(np.arange(n), preselected)
    whole = [list(range(start, start + length)) for start in starts if free[start : start + length].all()]
    expected = sorted([*whole, *([row] for row in preselected.tolist())])
    assert rows_of(found) == expected
    assert found.layout.distinct_rows(np.flatnonzero(found.pool.candidates)) == len(
        {row for rows in whole for row in rows}
    )
    assert [expected[unit] for unit in found.preselected] == [[row] for row in preselected]
    one_of = {"mean": np.mean, "max": np.max, "first": lambda rows, axis=0: rows[0]}[pooling]
    for unit, rows in enumerate(expected):
        np.testing.assert_allclose(
            found.pool.embeddings[unit], one_of(pool.embeddings[rows].astype(np.float64), axis=0), rtol=1e-6
        )
        np.testing.assert_allclose(means.values[unit], one_of(values[rows], axis=0))
        np.testing.assert_allclose(sums.values[unit], len(rows) * one_of(values[rows], axis=0))
        np.testing.assert_allclose(balance.shares[unit], shares[rows].sum(axis=0))
        theirs = np.concatenate([np.flatnonzero(owners == row) for row in rows])
        np.testing.assert_array_equal(
            owned.objects.embeddings[owned.objects.owners == unit], objects.embeddings[theirs]
        )
        counts = [int((labels[rows] == label).sum()) for label in range(3)]
        assert found.quotas[0].counts.toarray()[unit].tolist() == counts


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        (Rules(groups=np.zeros(3, np.int64), windows=Windows(np.array([0]), 2)), "there are groups beside"),
        (Rules(windows=Windows(np.array([1, 0]), 2)), "ascending starts"),
        (Rules(windows=Windows(np.array([0, 2]), 2)), "rows 0 to 3 should be from 0 to 2"),
    ],
)
def test_units__refuses_windows(rules, text):
    with pytest.raises(ValueError, match=text):
        units(Pool(np.ones((3, 1), np.float32), np.ones(3, np.bool_)), [], rules, NONE)


def test_units__keep_an_embedding_that_is_alone_and_do_not_normalise_a_mean():
    embeddings = np.array([[1, 0], [0, 1], [0.1, 0.7]], np.float32)
    found = units(Pool(embeddings, np.ones(3, np.bool_)), [], Rules(groups=np.array([4, 4, -1])), NONE)
    assert found.pool.embeddings.tolist() == [[0.5, 0.5], embeddings[2].tolist()]
    assert found.pool.embeddings.dtype == np.float32


def test_units__sum_a_unit_that_is_larger_than_a_piece():
    embeddings = np.arange(2**19, dtype=np.float32)[:, None]
    groups = np.arange(2**19) // (2**18 + 5)
    found = units(Pool(embeddings, np.ones(2**19, np.bool_)), [], Rules(groups=groups), NONE)
    assert found.sizes.tolist() == [2**18 + 5, 2**18 - 5]
    np.testing.assert_allclose(
        found.pool.embeddings[:, 0], [(2**18 + 4) / 2, (2**18 + 5 + 2**19 - 1) / 2], rtol=1e-7
    )


def test_units__stop_below_looks_at_means():
    pool = Pool(np.ones((3, 1), np.float32), np.ones(3, np.bool_))
    term = Weights(np.array([1.0, 3.0, 5.0]), strength=2.0, stop_below=2.5)
    sums, means = units(pool, [term], Rules(groups=np.array([0, 0, 1])), NONE).terms
    assert (sums.values.tolist(), sums.strength, sums.stop_below) == ([4.0, 5.0], 2.0, None)
    assert (means.values.tolist(), means.strength, means.stop_below) == ([2.0, 5.0], 0.0, 2.5)


def test_expand__gives_rows_in_pick_order_and_row_order_within():
    pool = Pool(np.ones((5, 1), np.float32), np.array([True, True, False, True, True]))
    found = units(pool, [], Rules(groups=np.array([0, 1, 1, 1, 0])), NONE)
    assert found.expand(np.array([1, 0])).tolist() == [1, 3, 0, 4]
    assert found.expand(NONE).tolist() == []


@pytest.mark.parametrize(
    ("groups", "labels", "preselected", "text"),
    [
        (np.zeros(2, np.int64), np.zeros(3, np.int64), NONE, r"groups should be \(3,\) whole numbers"),
        (np.zeros(3), np.zeros(3, np.int64), NONE, "got float64"),
        (np.array([0, -2, 0]), np.zeros(3, np.int64), NONE, "row 1 has -2"),
        (np.zeros(3, np.int64), np.zeros((3, 1), np.int64), NONE, "quota 0: labels should be"),
        (np.zeros(3, np.int64), np.zeros(3, np.int64), np.array([3]), "rows from 0 to 2, got 3 to 3"),
    ],
)
def test_units__refuses(groups, labels, preselected, text):
    pool = Pool(np.ones((3, 1), np.float32), np.ones(3, np.bool_))
    quota = Quota(labels, np.zeros(1, np.int64), np.ones(1, np.int64))
    with pytest.raises(ValueError, match=text):
        units(pool, [], Rules((quota,), groups), preselected)
