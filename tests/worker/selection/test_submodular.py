import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.device import Device
from worker.selection.gates.gate import Gate
from worker.selection.pool import Pool
from worker.selection.rules import Quota
from worker.selection.submodular import maximise
from worker.selection.terms import Balance, Diversity, Objects, Weights

CPU = Device("cpu", "CPU", 2)


class Reference:
    """f of a set of rows, written down as it is defined, over all similarities in float64."""

    def __init__(self, pool, terms, n, *, typicality=None, preselected=()):
        self.preselected = list(preselected)
        self.candidates = [
            row for row in np.flatnonzero(pool.candidates).tolist() if row not in self.preselected
        ]
        self.n = n
        self.parts = []
        for term in terms:
            if isinstance(term, Diversity):
                raw = self.facility_location(pool, term, typicality)
                most = raw(self.greedy(raw)) - raw([])
            elif isinstance(term, Weights):
                raw = self.sum_of_weights(term)
                most = np.sort(term.values[self.candidates])[::-1][:n].sum()
            else:
                raw = self.balance(term)
                rows = np.sort(term.shares[self.candidates].sum(axis=1))[::-1][:n].sum()
                most = math.sqrt(term.shares[self.preselected].sum() + rows) - raw([])
            self.parts.append((term.strength / most if most > 0 else 0.0, raw))

    def __call__(self, rows):
        return sum(factor * raw(rows) for factor, raw in self.parts)

    def picks(self):
        return self.greedy(self)

    def greedy(self, value):
        picks, left = [], list(self.candidates)
        while left and len(picks) < self.n:
            gains = np.array([value([*picks, row]) - value(picks) for row in left])
            # These differences of sums cannot tell ties from differences of 1e-12.
            picks.append(left.pop(int((gains >= gains.max() - 1e-10 * value([*picks, *left])).argmax())))
        return picks

    def facility_location(self, pool, term, typicality):
        given = Objects(pool.embeddings, np.arange(len(pool))) if term.objects is None else term.objects
        demand = np.isin(given.owners, self.candidates)
        used = demand | np.isin(given.owners, self.preselected)
        x = given.embeddings.astype(np.float64)
        diameter = 2 * np.linalg.norm(x[used] - x[demand].mean(axis=0), axis=1).max()
        similarity = 1 - np.linalg.norm(x[:, None] - x, axis=2) / (diameter or 1.0)
        owners = given.owners
        weights = (
            np.ones(len(owners)) if typicality is None else typicality.values[owners] ** typicality.strength
        )

        def value(rows):
            columns = np.isin(owners, [*self.preselected, *rows])
            if not columns.any():
                return 0.0
            return (weights[demand] * similarity[demand][:, columns].max(axis=1)).sum()

        return value

    @staticmethod
    def sum_of_weights(term):
        return lambda rows: term.values[rows].sum()

    def balance(self, term):
        def value(rows):
            return np.sqrt(term.target * term.shares[[*self.preselected, *rows]].sum(axis=0)).sum()

        return value


def random_case(seed, m, d, k):
    """A pool with preselected rows and rows that may not be picked, and one term of each kind."""
    rng = np.random.default_rng(seed)
    candidates = rng.random(m) < 0.8
    candidates[-1] = True
    pool = Pool(rng.standard_normal((m, d)).astype(np.float32), candidates)
    preselected = np.sort(rng.choice(m - 1, m // 5, replace=False))
    terms = [
        Diversity(rng.random() + 0.1),
        Weights(rng.random(m), rng.random()),
        Balance(np.eye(3)[rng.integers(0, 3, m)], np.array([0.5, 0.3, 0.2]), rng.random()),
    ]
    typicality = Weights(rng.random(m), strength=2 * rng.random(), is_typicality=True)
    return pool, terms[: 1 + seed % 3], typicality, preselected if seed % 2 else preselected[:0], k


cases = {
    "seed": st.integers(0, 2**32 - 1),
    "m": st.integers(2, 20),
    "d": st.integers(1, 8),
    "k": st.integers(1, 8),
}


@settings(max_examples=60, deadline=None)
@given(**cases)
def test_maximise__equals_naive_greedy(*, seed, m, d, k):
    pool, terms, typicality, preselected, n = random_case(seed, m, d, k)
    expected = Reference(pool, terms, n, typicality=typicality, preselected=preselected).picks()

    found = maximise(pool, [*terms, typicality], n, device=CPU, preselected=preselected)

    assert found.rows.tolist() == expected
    assert found.ended is None


@settings(max_examples=30, deadline=None)
@given(**{**cases, "m": st.integers(2, 10), "k": st.integers(1, 4)})
def test_maximise__reaches_its_share_of_the_best_value(*, seed, m, d, k):
    pool, terms, typicality, preselected, n = random_case(seed, m, d, k)
    f = Reference(pool, terms, n, typicality=typicality, preselected=preselected)
    size = min(n, len(f.candidates))
    best = max(f(list(rows)) - f([]) for rows in itertools.combinations(f.candidates, size))

    found = maximise(pool, [*terms, typicality], n, device=CPU, preselected=preselected)

    assert f(found.rows.tolist()) - f([]) >= (1 - 1 / math.e) * best - 1e-9


def test_maximise__objects_are_covered_by_the_closest_object_of_a_row():
    rng = np.random.default_rng(3)
    owners = np.sort(rng.integers(0, 12, 30))
    objects = Objects(rng.standard_normal((30, 4)).astype(np.float32), owners)
    pool = Pool(np.zeros((12, 1), np.float32), np.arange(12) % 5 > 0)
    terms = [Diversity(objects=objects)]
    preselected = np.array([0, 5])

    found = maximise(pool, terms, 6, device=CPU, preselected=preselected)

    assert found.rows.tolist() == Reference(pool, terms, 6, preselected=preselected).picks()


def test_maximise__few_neighbours_still_find_every_cluster():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(20), 40)
    x = 10 * np.eye(20)[labels] + 0.1 * rng.standard_normal((800, 20))
    pool = Pool(x.astype(np.float32), np.ones(800, np.bool_))

    found = maximise(pool, [Diversity()], 20, device=CPU, memory_bytes=64 * 800 * 30)

    assert set(labels[found.rows].tolist()) == set(range(20))


def test_maximise__does_not_depend_on_threads():
    rng = np.random.default_rng(1)
    pool = Pool(rng.standard_normal((1100, 40)).astype(np.float32), np.ones(1100, np.bool_))

    one = maximise(pool, [Diversity()], 40, device=Device("cpu", "CPU", 1))
    three = maximise(pool, [Diversity()], 40, device=Device("cpu", "CPU", 3))

    assert one.rows.tolist() == three.rows.tolist()


@pytest.mark.parametrize("n", [1, 3, 50])
def test_maximise__identical_rows_come_in_order_without_duplicates(n):
    pool = Pool(np.full((9, 5), 0.3, np.float32), np.arange(9) != 2)

    found = maximise(pool, [Diversity(), Weights(np.ones(9))], n, device=CPU)

    assert found.rows.tolist() == [0, 1, 3, 4, 5, 6, 7, 8][:n]
    assert found.ended is None


def test_maximise__one_sample_and_none():
    one = Pool(np.ones((1, 3), np.float32), np.ones(1, np.bool_))
    none = Pool(np.ones((1, 3), np.float32), np.zeros(1, np.bool_))

    assert maximise(one, [Diversity()], 5, device=CPU, memory_bytes=1).rows.tolist() == [0]
    assert maximise(none, [Diversity()], 5, device=CPU).rows.tolist() == []


def test_maximise__twins_tie_and_the_lowest_row_wins():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((30, 6)).astype(np.float32)
    pool = Pool(np.concatenate([x, x]), np.ones(60, np.bool_))

    found = maximise(pool, [Diversity()], 30, device=CPU)

    assert (found.rows < 30).all()


def test_maximise__weights_alone_are_a_sort():
    values = np.array([0.3, 0.0, 2.0, 0.3, 1.0])
    pool = Pool(np.zeros((5, 2), np.float32), np.ones(5, np.bool_))

    assert maximise(pool, [Weights(values)], 9, device=CPU).rows.tolist() == [2, 4, 0, 3, 1]


def test_maximise__balance_alone_reaches_the_target():
    labels = np.repeat(np.arange(3), 100)
    pool = Pool(np.zeros((300, 2), np.float32), np.ones(300, np.bool_))
    target = np.array([0.6, 0.3, 0.1])

    found = maximise(pool, [Balance(np.eye(3)[labels], target)], 100, device=CPU)

    assert np.bincount(labels[found.rows]).tolist() == [60, 30, 10]


def test_maximise__a_term_without_strength_is_off():
    pool = Pool(np.zeros((4, 2), np.float32), np.ones(4, np.bool_))

    values = np.array([0.0, 1.0, 2.0, 3.0])
    found = maximise(pool, [Weights(values), Weights(-values + 3, strength=0)], 2, device=CPU)

    assert found.rows.tolist() == [3, 2]
    assert maximise(pool, [Weights(values, strength=0)], 2, device=CPU).rows.tolist() == [0, 1]


def test_maximise__minimum_distance_skips_what_is_too_close():
    line = Pool(np.arange(10, dtype=np.float32)[:, None], np.ones(10, np.bool_))
    weights = np.arange(10.0)

    skipping = [Diversity(1e-9, minimum_distance=3.0), Weights(weights)]
    found = maximise(line, skipping, 5, device=CPU, preselected=np.array([2]))

    assert found.rows.tolist() == [9, 6]
    assert found.ended == "too_close"


def test_maximise__minimum_distance_stops_at_what_is_too_close():
    line = Pool(np.arange(10, dtype=np.float32)[:, None], np.ones(10, np.bool_))

    stopping = [Diversity(1e-9, minimum_distance=1.5, on_too_close="stop"), Weights(np.arange(10.0))]
    found = maximise(line, stopping, 5, device=CPU)

    assert found.rows.tolist() == [9]
    assert found.ended == "too_close"


def test_maximise__stops_at_the_first_weight_below_the_floor():
    pool = Pool(np.zeros((5, 1), np.float32), np.ones(5, np.bool_))

    found = maximise(pool, [Weights(np.arange(5.0), stop_below=2.5)], 5, device=CPU)

    assert found.rows.tolist() == [4, 3]
    assert found.ended == "minimum_typicality"


def test_maximise__stops_at_the_first_pick_that_is_not_typical_enough():
    line = Pool(np.array([[0.0], [1.0], [10.0]], np.float32), np.ones(3, np.bool_))
    typicality = Weights(np.array([0.9, 0.8, 0.1]), stop_below=0.5, is_typicality=True)

    found = maximise(line, [Diversity(), typicality], 3, device=CPU)

    assert found.rows.tolist() == [0]
    assert found.ended == "minimum_typicality"


def test_maximise__keeps_to_the_gate():
    weights = np.arange(10.0)
    pool = Pool(np.zeros((10, 1), np.float32), np.ones(10, np.bool_))
    quota = Quota(np.arange(10) // 5, at_least=np.array([2, 0]), at_most=np.array([10, 10]))
    gate = Gate(np.arange(10), 3, quotas=[quota], rows=10)

    assert maximise(pool, [Weights(weights)], 3, device=CPU, gate=gate).rows.tolist() == [9, 4, 3]


def test_maximise__the_gate_ends_it():
    values = np.arange(4.0)
    gate = Gate(np.arange(4), 4, sums=[(values, 5.0)], rows=4)
    pool = Pool(np.zeros((4, 1), np.float32), np.ones(4, np.bool_))

    found = maximise(pool, [Weights(values)], 4, device=CPU, gate=gate)

    assert (found.rows.tolist(), found.ended) == ([3, 2], "max_sum")


def test_maximise__typicality_without_diversity_is_a_weight():
    pool = Pool(np.zeros((4, 2), np.float32), np.ones(4, np.bool_))
    typicality = Weights(np.array([0.1, 0.4, 0.3, 0.2]), is_typicality=True)

    assert maximise(pool, [typicality], 3, device=CPU).rows.tolist() == [1, 2, 3]
    assert maximise(pool, [Diversity(0.0), typicality], 3, device=CPU).rows.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        ([Diversity(-1.0)], "strength of diversity .term 0."),
        ([Diversity(), Weights(np.ones(3), -0.5)], "strength of weights .term 1."),
        ([Diversity(float("nan"))], "got nan"),
        ([Weights(np.ones(3), target=(1.0, 2.0))], "has a target"),
    ],
)
def test_maximise__refuses_what_has_no_guarantee(terms, text):
    pool = Pool(np.zeros((3, 1), np.float32), np.ones(3, np.bool_))

    with pytest.raises(ValueError, match=text):
        maximise(pool, terms, 2, device=CPU)
