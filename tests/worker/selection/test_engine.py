import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.device import Device
from worker.selection.engine import covering_radius, select
from worker.selection.farthest import farthest_first
from worker.selection.gates.gate import Gate
from worker.selection.greedy import greedy
from worker.selection.pool import Pool
from worker.selection.rules import Gap, Protected, Quota, Rules, Windows
from worker.selection.terms import Balance, Diversity, Objects, Weights
from worker.selection.units import units
from worker.selection.windows import window_starts

CPU = Device("cpu", "CPU", 2)


def pool_of(x, candidates=None):
    x = np.asarray(x, np.float32)
    return Pool(x, np.ones(len(x), bool) if candidates is None else np.asarray(candidates))


def drawn(seed, n=30, d=4):
    return pool_of(np.random.default_rng(seed).standard_normal((n, d)))


def diversity_of(x, selected, candidate):
    """The published formula, term by term: own nearest neighbour of each member, then the candidate's distance."""
    members = [min((math.dist(x[s], x[o]) ** 2 for o in selected if o != s), default=0.0) for s in selected]
    return sum(members) + min(math.dist(x[candidate], x[s]) ** 2 for s in selected)


def naive(pool, terms, n, preselected=()):
    """One candidate at a time, one formula at a time."""
    x = pool.embeddings.astype(np.float64).tolist()
    selected = list(preselected)
    picks = []
    left = [row for row in np.flatnonzero(pool.candidates).tolist() if row not in selected]
    while left and len(picks) < n:
        scores = []
        for row in left:
            score = 0.0
            for term in terms:
                if isinstance(term, Weights):
                    value = sum(term.values[s] for s in selected) + term.values[row]
                elif selected:
                    value = diversity_of(x, selected, row)
                else:
                    continue
                score += term.strength * math.log(max(value, 5e-324))
            scores.append(score)
        best = max(scores)
        row = next(r for r, score in zip(left, scores, strict=True) if score >= best - 1e-12)
        picks.append(row)
        selected.append(row)
        left.remove(row)
    return picks


strengths = st.sampled_from([-3.0, -1.0, 0.0, 0.5, 1.0, 2.0])


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    diversity=st.none() | strengths,
    weights=st.lists(strengths, max_size=2),
    n=st.integers(1, 30),
    preselected=st.integers(0, 3),
)
def test_select__follows_the_formulas(seed, diversity, weights, n, preselected):
    rng = np.random.default_rng(seed)
    pool = pool_of(rng.standard_normal((24, 3)), rng.random(24) < 0.8)
    terms = [Weights(rng.random(24), strength) for strength in weights]
    terms += [] if diversity is None else [Diversity(diversity)]
    if not terms:
        terms = [Diversity()]
    started = rng.permutation(24)[:preselected]

    found = select(pool, terms, n, device=CPU, preselected=started)

    assert found.rows.tolist() == naive(pool, terms, n, started.tolist())


def test_select__diversity_alone_is_the_traversal_of_the_candidates():
    pool = pool_of(drawn(1).embeddings, np.arange(30) % 3 > 0)
    expected = farthest_first(pool.embeddings, 7, candidates=np.flatnonzero(pool.candidates))

    found = select(pool, [Diversity(2.5)], 7, device=CPU)

    assert found.rows.tolist() == expected.rows.tolist()
    assert found.insertion_distances.tolist() == expected.distances.tolist()


def test_select__negative_diversity_stays_near_the_first_candidate():
    pool = pool_of([[0.0], [5.0], [1.0], [1.5], [9.0]])

    assert select(pool, [Diversity(-1.0)], 4, device=CPU).rows.tolist() == [0, 2, 3, 1]


def test_select__weights_alone_are_sorted_and_ties_go_to_the_lowest_row():
    pool = drawn(2, n=5)
    weights = np.array([1.0, 3.0, 1e-300, 3.0, 1e9])

    assert select(pool, [Weights(weights)], 5, device=CPU).rows.tolist() == [4, 1, 3, 0, 2]
    assert select(pool, [Weights(weights, -1.0)], 3, device=CPU).rows.tolist() == [2, 0, 1]
    assert select(pool, [Weights(weights, 0.0)], 3, device=CPU).rows.tolist() == [0, 1, 2]


def test_select__the_first_pick_of_a_mix_is_the_largest_weight():
    pool = drawn(3, n=6)
    weights = np.array([1.0, 2.0, 7.0, 2.0, 0.0, 1.0])

    assert select(pool, [Diversity(), Weights(weights)], 1, device=CPU).rows.tolist() == [2]
    assert select(pool, [Diversity(), Weights(weights, -1.0)], 1, device=CPU).rows.tolist() == [4]


def test_select__objectives_of_zero_and_strong_strengths_end_in_order():
    pool = pool_of(np.ones((4, 2)))
    terms = [Diversity(1e9), Weights(np.zeros(4), -1e9)]

    assert select(pool, terms, 9, device=CPU).rows.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "terms", [[Diversity()], [Weights(np.arange(9.0))], [Diversity(), Weights(np.arange(9.0))]]
)
def test_select__more_than_there_are_gives_every_candidate_once(terms):
    pool = pool_of(drawn(4, n=9).embeddings, np.arange(9) != 5)

    found = select(pool, terms, 100, device=CPU, preselected=np.array([2]))

    assert sorted(found.rows.tolist()) == [0, 1, 3, 4, 6, 7, 8]


def test_select__no_candidates_is_an_empty_selection():
    pool = pool_of(drawn(5, n=3).embeddings, [False, False, True])

    assert select(pool, [Diversity()], 2, device=CPU, preselected=np.array([2])).rows.tolist() == []


MODES = ["objective_product", "gain_product"]


def test_select__each_way_picks_what_the_plain_pass_picks():
    pool = drawn(10, n=60)
    rows = np.arange(60)
    rng = np.random.default_rng(10)
    weights = Weights(rng.integers(0, 9, 60).astype(float))
    balance = Balance(np.eye(3)[rng.integers(0, 3, 60)], np.ones(3) / 3)
    objects = Objects(rng.standard_normal((40, 2)).astype(np.float32), np.sort(rng.integers(0, 60, 40)))
    quota = Quota(rng.integers(0, 3, 60), np.array([0, 0, 5]), np.array([3, 60, 60]))
    for terms in (
        [Diversity(1.0, None, 1.0)],
        [Diversity(), balance],
        [Diversity(), weights, balance],
        [weights, balance],
        [Diversity(-1.0), weights],
        [Diversity(objects=objects), weights],
        [Diversity(), Weights(weights.values, target=(30.0, 40.0))],
    ):
        for mode in MODES:
            for rules in (Rules(), Rules(quotas=(quota,))):
                gate = Gate(rows, 20, quotas=rules.quotas, rows=60)
                plain = greedy(pool, terms, 20, candidates=rows, preselected=rows[:0], gate=gate, mode=mode)

                found = select(pool, terms, 20, device=CPU, mode=mode, rules=rules)

                assert (found.rows.tolist(), found.ended) == (plain.rows, plain.ended)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    length=st.integers(1, 3),
    mode=st.sampled_from(MODES),
    pooling=st.sampled_from(["mean", "max", "first"]),
)
def test_select__windows_are_picked_as_the_plain_rule_picks_their_means(seed, length, mode, pooling):
    """Exactly what a greedy pass finds that looks at every pair of windows to know which are closed."""
    rng = np.random.default_rng(seed)
    pool = drawn(seed, n=36)
    lines = np.repeat([0, 1, 2], 12)
    places = np.concatenate([np.sort(rng.integers(0, 30, 12)) / 10 for _ in range(3)])
    starts = window_starts(lines, length, stride=int(rng.integers(1, length + 1)))
    windows = Windows(starts, length, pooling)
    gap = Gap(lines, places, 0.4)
    weights = Weights(rng.integers(0, 9, 36).astype(float))
    balance = Balance(np.eye(3)[rng.integers(0, 3, 36)], np.ones(3) / 3)

    def closed_by(row):
        ends = [(lines[start], places[start], places[start + length - 1]) for start in starts]
        return np.array(
            [
                other
                for other in range(len(starts))
                if other != row
                and (
                    abs(starts[other] - starts[row]) < length
                    or (
                        ends[other][0] == ends[row][0]
                        and max(ends[other][1] - ends[row][2], ends[row][1] - ends[other][2]) < 0.4 - 1e-9
                    )
                )
            ],
            np.int64,
        )

    for terms in ([Diversity()], [weights], [Diversity(), weights, balance], [Diversity(-1.0), balance]):
        joined = units(pool, terms, Rules(windows=windows), np.empty(0, np.int64))
        gate = Pairwise(closed_by, len(starts), 12 // length)
        plain = greedy(
            joined.pool, joined.terms, 12, candidates=np.arange(len(starts)), preselected=starts[:0], gate=gate, mode=mode
        )  # fmt: skip

        found = select(pool, terms, 12, device=CPU, mode=mode, rules=Rules(windows=windows, gap=gap))

        assert found.rows.tolist() == joined.expand(np.array(plain.rows, np.int64)).tolist()


class Pairwise:
    """A gate that asks for every pick which others it closes."""

    ended = None

    def __init__(self, closed_by, units, most):
        self._closed_by, self._open, self._left = closed_by, set(range(units)), most

    @property
    def done(self):
        return not self._left or not self._open

    def start(self):
        return np.empty(0, np.int64)

    def picked(self, row):
        self._left -= 1
        self._open.remove(row)
        closed = self._open & set(self._closed_by(row).tolist())
        self._open -= closed
        return np.array(sorted(closed), np.int64)


def test_select__weights_alone_keep_to_rules_and_stops():
    pool = drawn(11, n=6)
    weights = np.array([5.0, 4, 3, 2, 1, 0])
    quota = Quota(np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1]), np.array([2, 2]))

    found = select(pool, [Weights(weights)], 3, device=CPU, rules=Rules(quotas=(quota,)))
    assert (found.rows.tolist(), found.ended) == ([0, 1, 3], None)
    found = select(pool, [Weights(weights)], 5, device=CPU, rules=Rules(quotas=(quota,)))
    assert (found.rows.tolist(), found.ended) == ([0, 1, 3, 4], "rules")
    found = select(pool, [Weights(weights, stop_below=3.0)], 5, device=CPU)
    assert (found.rows.tolist(), found.ended) == ([0, 1, 2], "minimum_typicality")
    found = select(pool, [Weights(weights, stop_at_sum=9.0)], 5, device=CPU)
    assert (found.rows.tolist(), found.ended) == ([0, 1], "max_sum")
    found = select(pool, [Weights(weights, stop_at_sum=9.0)], 5, device=CPU, preselected=np.array([0]))
    assert (found.rows.tolist(), found.ended) == ([1], "max_sum")


@pytest.mark.parametrize("mode", MODES)
def test_select__groups_are_picked_whole_and_in_row_order(mode):
    pool = drawn(12, n=30)
    groups = np.arange(30) // 3
    weights = Weights(np.random.default_rng(12).random(30))

    for terms in ([Diversity()], [weights], [Diversity(), weights], [Diversity(-1.0), weights]):
        found = select(pool, terms, 10, device=CPU, rules=Rules(groups=groups), mode=mode)

        assert len(found.rows) == 9  # a fourth group would be too many
        assert found.ended == "rules"
        assert (found.rows.reshape(3, 3) == found.rows[::3, None] + np.arange(3)).all()


def test_select__protected_rows_are_never_picked():
    pool = pool_of([[0.0], [1.0], [2.0], [3.0], [4.0]])
    rules = Rules(protected=Protected(np.array([[1.4]], np.float32), 0.7))

    for terms in ([Diversity()], [Diversity(), Weights(np.arange(5.0))], [Weights(np.arange(5.0))]):
        assert sorted(select(pool, terms, 9, device=CPU, rules=rules).rows.tolist()) == [0, 3, 4]


def test_select__minimum_distance_of_diversity_alone_ends_it():
    pool = pool_of([[0.0], [0.5], [10.0], [10.4], [20.0]])

    for way in ("skip", "stop"):
        found = select(pool, [Diversity(1.0, None, 1.0, way)], 5, device=CPU)
        assert (found.rows.tolist(), found.ended) == ([0, 4, 2], "too_close")


def test_select__submodular_picks_as_many():
    found = select(drawn(13), [Diversity()], 5, device=CPU, mode="submodular")

    assert len(set(found.rows.tolist())) == 5


@pytest.mark.parametrize(
    ("terms", "n", "text"),
    [
        ([], 1, "terms: at least one"),
        ([Diversity()], 0, "n should be at least 1, got 0"),
        ([Weights(np.array([1.0, -2.0, 3.0]))], 1, "row 1 has -2.0"),
        ([Diversity(), Weights(np.array([1.0, 2.0, np.nan]))], 1, "row 2 has nan"),
        ([Weights(np.array([1.0]))], 1, "got shape"),
        ([Weights(np.ones(3), target=(2.0, 1.0))], 1, "target should be 0 <= least <= most"),
        ([Weights(np.ones(3), stop_at_sum=math.nan)], 1, "stop_at_sum should be a number"),
        ([Diversity(math.nan)], 1, "strength should be from -1e9 to 1e9, got nan"),
        ([Diversity(2e9)], 1, "strength should be"),
        ([Diversity(minimum_distance=-1.0)], 1, "minimum_distance should be finite and 0 or more, got -1.0"),
        ([Balance(np.ones((2, 2)), np.array([0.5, 0.5]))], 1, r"shares should be \(3, 2\)"),
        ([Balance(np.ones((3, 2)), np.array([0.5, 0.6]))], 1, "add up to 1, got a sum of 1.1"),
        ([Balance(np.array([[1.0, 0], [0, np.nan], [0, 1]]), np.array([0.5, 0.5]))], 1, "shares: row 1 has"),
        ([Diversity(objects=Objects(np.ones((1, 2), np.float32), np.array([3])))], 1, "from 0 to 2 at most"),
        ([Diversity(objects=Objects(np.ones((1, 2), np.float32), np.array([])))], 1, "with owners of shape"),
        (
            [Diversity(objects=Objects(np.array([[1.0], [np.nan]], np.float32), np.array([0, 2])))],
            1,
            "objects: row 2 owns a vector with NaN",
        ),
    ],
)
def test_select__refuses(terms, n, text):
    with pytest.raises(ValueError, match=text):
        select(drawn(7, n=3), terms, n, device=CPU)


def test_select__refuses_an_unknown_mode():
    with pytest.raises(ValueError, match="mode should be one of objective_product, gain_product, submodular"):
        select(drawn(7, n=3), [Diversity()], 1, device=CPU, mode="product")


def test_covering_radius__is_over_the_whole_pool_and_exact():
    pool = pool_of(drawn(8).embeddings, np.arange(30) < 20)
    rows = select(pool, [Diversity()], 4, device=CPU).rows
    x = pool.embeddings.astype(np.float64)
    expected = np.linalg.norm(x[:, None] - x[rows][None], axis=2).min(axis=1).max()

    assert covering_radius(pool, rows, device=CPU) == pytest.approx(expected, rel=1e-12)
    assert covering_radius(pool, np.arange(30), device=CPU) == 0.0
    with pytest.raises(ValueError, match="at least one row"):
        covering_radius(pool, rows[:0], device=CPU)
