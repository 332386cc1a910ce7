from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from worker.selection.gates.gate import Gate
from worker.selection.gates.quotas import QuotaConflict, UnitQuota
from worker.selection.rules import Quota


def quota(labels, at_least, at_most):
    return Quota(*(np.array(numbers, np.int64) for numbers in (labels, at_least, at_most)))


def gate_for(labels, n, **options):
    return Gate(np.arange(len(labels)), n, rows=len(labels), **options)


@st.composite
def cases(draw, *, keys, most_rows, sized=False, several=False):
    """Draw (candidates, n, sizes, one (counts (rows, v), at_least, at_most) a key)."""
    rows = draw(st.integers(1, most_rows))
    candidates = np.flatnonzero(draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    n = draw(st.integers(1, 8))
    sizes = np.array(draw(st.lists(st.integers(1, 3 if sized else 1), min_size=rows, max_size=rows)))
    bounds = []
    for _ in range(draw(st.integers(1, keys))):
        values = draw(st.integers(1, 3))
        counts = np.zeros((rows, values), np.int64)
        for row in range(rows):
            for _ in range(int(sizes[row]) if several else 1):
                label = draw(st.integers(-1, values - 1))
                if label >= 0:
                    counts[row, label] += 1 if several else sizes[row]
        number = st.integers(0, 3)
        at_least = [draw(number) if draw(st.booleans()) else 0 for _ in range(values)]
        at_most = [draw(number) if draw(st.booleans()) else 99 for _ in range(values)]
        bounds.append((counts, np.array(at_least), np.array(at_most)))
    return candidates, n, sizes, bounds


def as_quotas(bounds, *, several):
    if several:
        return [UnitQuota(csr_array(counts), least, most) for counts, least, most in bounds]
    return [
        Quota(np.where(counts.any(axis=1), counts.argmax(axis=1), -1), least, most)
        for counts, least, most in bounds
    ]


def meeting(candidates, n, sizes, bounds):
    """Return every set of candidates that meets everything."""
    sets = [
        np.array(rows, np.int64)
        for k in range(len(candidates) + 1)
        for rows in combinations(candidates.tolist(), k)
    ]
    return [
        set(rows.tolist())
        for rows in sets
        if sizes[rows].sum() <= n
        and all(
            (counts[rows].sum(axis=0) >= least).all() and (counts[rows].sum(axis=0) <= most).all()
            for counts, least, most in bounds
        )
    ]


def follow(case, order, *, several, sized):
    """Pick in a random order what the gate leaves open, and compare what is open with what can be completed."""
    candidates, n, sizes, bounds = case
    complete = meeting(candidates, n, sizes, bounds)

    def made():
        return Gate(
            candidates,
            n,
            sizes=sizes if sized else None,
            quotas=as_quotas(bounds, several=several),
            rows=len(sizes),
        )

    if not complete:
        with pytest.raises(QuotaConflict):
            made()
        return
    gate = made()
    selected = set()
    is_open = set(candidates.tolist())
    closed = gate.start()
    while True:
        assert sorted(set(closed.tolist())) == closed.tolist()
        assert set(closed.tolist()) <= is_open
        is_open -= set(closed.tolist())
        completable = set().union(*(whole for whole in complete if whole >= selected)) - selected
        if gate.done:
            assert not completable
            break
        assert is_open == completable
        row = next(row for row in order if row in is_open)
        selected.add(row)
        is_open.remove(row)
        closed = gate.picked(row)
        if gate.done:
            is_open = set()
            closed = closed[:0]
    assert selected in complete
    assert gate.shortfalls() == []
    full = sizes[list(selected)].sum() == n or len(selected) == len(candidates)
    assert gate.ended == (None if full else "rules")


@settings(max_examples=50, deadline=None)
@given(cases(keys=1, most_rows=9), st.permutations(range(9)))
def test_gate__closes_exactly_what_cannot_be_completed_with_one_key(case, order):
    follow(case, order, several=False, sized=False)


@settings(max_examples=50, deadline=None)
@given(cases(keys=2, most_rows=9), st.permutations(range(9)))
def test_gate__closes_exactly_what_cannot_be_completed_with_two_keys(case, order):
    follow(case, order, several=False, sized=False)


@settings(max_examples=50, deadline=None)
@given(cases(keys=3, most_rows=8), st.permutations(range(8)))
def test_gate__closes_exactly_what_cannot_be_completed_with_three_keys(case, order):
    follow(case, order, several=False, sized=False)


@settings(max_examples=50, deadline=None)
@given(cases(keys=2, most_rows=8, sized=True), st.permutations(range(8)))
def test_gate__closes_exactly_what_cannot_be_completed_with_sizes(case, order):
    follow(case, order, several=False, sized=True)


@settings(max_examples=50, deadline=None)
@given(cases(keys=3, most_rows=8, sized=True, several=True), st.permutations(range(8)))
def test_gate__closes_exactly_what_cannot_be_completed_with_several_values_a_unit(case, order):
    follow(case, order, several=True, sized=True)


def test_gate__closes_what_is_larger_than_the_rows_that_are_left():
    gate = Gate(np.arange(5), 5, sizes=np.array([2, 1, 3, 6, 3]), rows=5)
    assert gate.start().tolist() == [3]
    assert gate.picked(0).tolist() == []
    assert gate.picked(1).tolist() == [2, 4]
    assert (gate.done, gate.ended) == (True, "rules")


def test_gate__has_not_ended_early_with_n_rows_or_every_candidate():
    full, whole = gate_for([0, 0, 0], 2), gate_for([0, 0, 0], 5)
    for row in range(2):
        full.picked(row)
        whole.picked(row)
    assert (full.done, full.ended, whole.done, whole.ended) == (True, None, False, None)
    whole.picked(2)
    assert (whole.done, whole.ended) == (True, None)


def test_gate__is_done_when_a_sum_reaches_its_stop_to_a_tie():
    gate = gate_for([0] * 12, 12, sums=[(np.full(12, 0.1), 1.0)])
    for row in range(9):
        gate.picked(row)
    assert not gate.done
    gate.picked(9)  # ten times 0.1 is 0.9999999999999999 when added up
    assert (gate.done, gate.ended) == (True, "max_sum")


def test_gate__counts_preselected_rows_in_sums_but_not_in_rows():
    values = np.array([4.0, 1.0, 1.0])
    gate = Gate(np.array([1, 2]), 2, sums=[(values, 5.0)], preselected=np.array([0]), rows=3)
    assert not gate.done
    gate.picked(2)
    assert (gate.done, gate.ended) == (True, "max_sum")
    assert Gate(np.array([1, 2]), 2, sums=[(values, 4.0)], preselected=np.array([0]), rows=3).done


def test_gate__tells_what_a_run_that_stopped_early_is_short_of():
    labels = np.array([0, 0, 1, 1, 2])
    gate = gate_for(labels, 5, quotas=[quota([-1] * 5, [0], [9]), quota(labels, [2, 1, 0], [9, 9, 9])])
    gate.picked(0)
    assert gate.shortfalls() == [(1, 0, 1, 2), (1, 1, 0, 1)]


@pytest.mark.parametrize("row", [1, 2, 3, 7])
def test_picked__refuses_a_row_that_is_not_open(row):
    gate = Gate(np.array([0, 2, 3]), 3, quotas=[quota([0, 0, 0, 0], [0], [1])], rows=4)
    gate.picked(0)
    with pytest.raises(ValueError, match=f"row {row} is not open"):
        gate.picked(row)


@pytest.mark.parametrize("sizes", [np.ones(2, np.int64), np.array([1, 0, 1]), np.ones(3)])
def test_gate__refuses_sizes(sizes):
    with pytest.raises(ValueError, match=r"sizes should be \(3,\) whole numbers of 1 or more"):
        Gate(np.arange(3), 1, sizes=sizes, rows=3)


def play(labels, bounds, n, *, seed):
    """Pick at random what is open; return the rows and the gate."""
    quotas = [
        quota(key, np.full(key.max() + 1, least), np.full(key.max() + 1, most))
        for key, (least, most) in zip(labels, bounds, strict=True)
    ]
    rows = len(labels[0])
    gate = Gate(np.arange(rows), n, quotas=quotas, rows=rows)
    is_open = np.ones(rows, np.bool_)
    is_open[gate.start()] = False
    picks = []
    for row in np.random.default_rng(seed).permutation(rows).tolist():
        if is_open[row]:
            picks.append(row)
            is_open[gate.picked(row)] = False
        if gate.done:
            break
    return np.array(picks), gate


def assert_kept(labels, bounds, picks):
    for key, (least, most) in zip(labels, bounds, strict=True):
        counts = np.bincount(key[picks], minlength=key.max() + 1)
        assert least <= counts.min() <= counts.max() <= most


def test_gate__meets_exact_quotas_of_two_keys():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 6, 2000), rng.integers(0, 4, 2000)
    picks, gate = play(labels, [(20, 20), (30, 30)], 120, seed=2)
    assert len(picks) == 120
    assert gate.ended is None
    assert_kept(labels, [(20, 20), (30, 30)], picks)


def test_gate__meets_quotas_of_videos_inside_days_beside_cameras():
    rng = np.random.default_rng(3)
    video = rng.integers(0, 30, 2000)
    labels = video, video // 5, rng.integers(0, 4, 2000)
    bounds = [(2, 5), (15, 17), (20, 30)]
    picks, gate = play(labels, bounds, 100, seed=4)
    assert len(picks) == 100
    assert gate.ended is None
    assert_kept(labels, bounds, picks)


def test_gate__meets_quotas_of_three_crossing_keys():
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 5, 600), rng.integers(0, 4, 600), rng.integers(0, 3, 600)
    bounds = [(7, 9), (9, 11), (12, 15)]
    picks, _ = play(labels, bounds, 40, seed=6)
    assert_kept(labels, bounds, picks)
