import numpy as np
import pytest

from tests.worker.selection import problems, reference
from worker.selection.gates.gate import Gate
from worker.selection.greedy import greedy
from worker.selection.pool import Pool
from worker.selection.terms import Balance, Diversity, Objects, Weights


def picked(x, terms, n, *, candidates=None, preselected=(), mode="objective_product", gate=None):
    x = np.asarray(x, np.float32)
    pool = Pool(x, np.ones(len(x), bool))
    rows = np.arange(len(x)) if candidates is None else np.asarray(candidates)
    started = np.asarray(preselected, np.int64)
    rows = np.setdiff1d(rows, started)
    sums = [(t.values, t.stop_at_sum) for t in terms if isinstance(t, Weights) and t.stop_at_sum is not None]
    gate = gate or Gate(rows, n, sums=sums, preselected=started, rows=len(x))
    return greedy(
        pool, terms, min(n, max(1, len(rows))), candidates=rows, preselected=started, gate=gate, mode=mode
    )


@pytest.mark.parametrize("mode", ["objective_product", "gain_product"])
@pytest.mark.parametrize("start", range(0, 300, 50))
def test_greedy__follows_the_formulas(mode, start):
    for seed in range(start, start + 50):
        p = problems.any_problem(seed)
        n = min(p.n, max(1, len(p.candidates)))
        expected, ended = reference.picks_of(
            p.x,
            p.terms,
            n,
            candidates=p.candidates.tolist(),
            preselected=p.preselected.tolist(),
            gain=mode == "gain_product",
        )

        found = picked(p.x, p.terms, p.n, candidates=p.candidates, preselected=p.preselected, mode=mode)

        assert (found.rows, found.ended) == (expected, ended), f"seed {seed}: {p}"


def test_greedy__objects_of_a_picked_row_all_join():
    # Rows own: 0; 1 and 10; 4 and 5; nothing. From row 0, the means of squares are 50.5 and 20.5.
    objects = Objects(np.array([[0], [1], [10], [4], [5]], np.float32), np.array([0, 1, 1, 2, 2]))
    x = np.zeros((4, 1))

    assert picked(x, [Diversity(objects=objects)], 4).rows == [0, 1, 2, 3]
    # Then row 2 is sqrt((9 + 16) / 2) = 3.54 away, and the row without objects is far from everything.
    far = Diversity(objects=objects, minimum_distance=3.6, on_too_close="stop")
    assert (picked(x, [far], 4).rows, picked(x, [far], 4).ended) == ([0, 1], "too_close")
    far = Diversity(objects=objects, minimum_distance=3.6)
    assert (picked(x, [far], 4).rows, picked(x, [far], 4).ended) == ([0, 1, 3], "too_close")
    far = Diversity(objects=objects, minimum_distance=3.5, on_too_close="stop")
    assert picked(x, [far], 4).rows == [0, 1, 2, 3]


def test_greedy__rows_without_objects_come_last_and_with_negative_strength_first():
    objects = Objects(np.array([[0], [10], [12]], np.float32), np.array([0, 1, 4]))
    x = np.zeros((5, 1))

    assert picked(x, [Diversity(objects=objects)], 5).rows == [0, 4, 1, 2, 3]
    assert picked(x, [Diversity(-1.0, objects)], 5).rows == [2, 3, 0, 1, 4]
    weights = Weights(np.array([1.0, 1, 1, 5, 1]))
    assert picked(x, [Diversity(objects=objects), weights], 4, preselected=[0]).rows == [4, 1, 3, 2]


def test_greedy__a_distance_of_exactly_the_minimum_is_far_enough():
    for way in ("skip", "stop"):
        assert picked([[0.0], [3.0]], [Diversity(1.0, None, 3.0, way)], 2).rows == [0, 1]
        found = picked([[0.0], [3.0]], [Diversity(1.0, None, 3.0001, way)], 2)
        assert (found.rows, found.ended) == ([0], "too_close")


def test_greedy__skip_passes_over_what_stop_ends_at():
    # From row 0 the weight makes row 1 the best, which is too near; rows 2 and 3 are far.
    x, weights = [[0.0], [0.1], [10.0], [-10.0]], Weights(np.array([0.0, 1e9, 1.0, 1.0]))

    stopped = picked(x, [Diversity(1.0, None, 0.5, "stop"), weights], 3, preselected=[0])
    skipped = picked(x, [Diversity(1.0, None, 0.5, "skip"), weights], 3, preselected=[0])

    assert (stopped.rows, stopped.ended) == ([], "too_close")
    assert (skipped.rows, skipped.ended) == ([2, 3], "too_close")


def test_greedy__a_balance_of_1e9_makes_classes_equal_and_leaves_the_rest_to_diversity():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 3)).astype(np.float32)
    labels = np.repeat([0, 1, 2], [240, 45, 15])
    balance = Balance(np.eye(3)[labels], np.ones(3) / 3, 1e9)

    for mode in ("objective_product", "gain_product"):
        rows = picked(x, [Diversity(), balance], 30, mode=mode).rows
        assert np.bincount(labels[rows]).tolist() == [10, 10, 10]
    # The first three open a class each; among the candidates of the fitting classes the farthest wins.
    x = np.array([[0.0], [1.0], [2.0], [9.0]])
    balance = Balance(np.eye(3)[[0, 0, 1, 2]], np.ones(3) / 3, 1e9)
    assert picked(x, [Diversity(), balance], 2).rows == [0, 3]


def test_greedy__a_target_range_steers_the_sum():
    rng = np.random.default_rng(1)
    x, values = rng.standard_normal((200, 3)).astype(np.float32), rng.random(200) * 2
    for least, most in [(30.0, 32.0), (0.0, 10.0), (50.0, np.inf)]:
        rows = picked(x, [Diversity(), Weights(values, 1e6, target=(least, most))], 40).rows
        assert least - 0.1 <= values[rows].sum() <= most + 0.1


def test_greedy__scaling_weights_shares_or_vectors_changes_nothing():
    for seed in range(40):
        p = problems.any_problem(seed)
        terms = [t for t in p.terms if not isinstance(t, Weights) or (t.target, t.stop_below) == (None, None)]
        terms = [t for t in terms if not isinstance(t, Diversity) or not t.minimum_distance] or [Diversity()]
        scaled = [
            Weights(t.values * 1024, t.strength, t.stop_at_sum and t.stop_at_sum * 1024)
            if isinstance(t, Weights)
            else t
            for t in terms
        ]
        for mode in ("objective_product", "gain_product"):
            plain = picked(p.x, terms, p.n, candidates=p.candidates, preselected=p.preselected, mode=mode)
            other = picked(
                p.x * 8, scaled, p.n, candidates=p.candidates, preselected=p.preselected, mode=mode
            )
            if all(is_positive(t, p) for t in terms):
                assert other == plain


def is_positive(term, p):
    """Zeros count as the smallest number there is, which does not scale."""
    if isinstance(term, Weights):
        return bool((term.values > 0).all())
    return not isinstance(term, Diversity) or len(np.unique(p.x, axis=0)) == len(p.x)


def test_greedy__going_on_from_preselected_rows_is_going_on():
    for seed in range(60):
        p = problems.any_problem(seed)
        terms = [t for t in p.terms if not isinstance(t, Weights) or t.target is None] or [Diversity()]
        whole = picked(p.x, terms, p.n, candidates=p.candidates).rows
        for cut in range(1, len(whole)):
            rest = picked(p.x, terms, p.n - cut, candidates=p.candidates, preselected=whole[:cut])
            assert rest.rows == whole[cut:]


def test_greedy__order_of_rows_decides_ties_only():
    rng = np.random.default_rng(2)
    for _ in range(20):
        x, w = rng.standard_normal((25, 3)).astype(np.float32), rng.random(25)
        shares = rng.dirichlet(np.ones(3), 25)
        order = rng.permutation(25)
        target = np.array([0.5, 0.3, 0.2])
        here = picked(x, [Diversity(), Weights(w, 2.0), Balance(shares, target)], 12).rows
        there = picked(
            x[order], [Diversity(), Weights(w[order], 2.0), Balance(shares[order], target)], 12
        ).rows
        assert order[there].tolist() == here


def test_greedy__all_alike_and_nothing_worth_anything_is_row_order():
    terms = [Diversity(), Weights(np.zeros(5)), Balance(np.zeros((5, 2)), np.array([0.5, 0.5]))]
    for mode in ("objective_product", "gain_product"):
        assert picked(np.ones((5, 2)), terms, 9, mode=mode).rows == [0, 1, 2, 3, 4]
        assert picked(np.ones((1, 2)), [Diversity()], 2, mode=mode).rows == [0]
