import numpy as np
import pytest

from tests.worker.selection import problems
from worker.selection.gates.gate import Gate
from worker.selection.greedy import greedy
from worker.selection.lookahead import factors
from worker.selection.pool import Pool
from worker.selection.product import is_lazy, product
from worker.selection.rules import Quota
from worker.selection.terms import Balance, Diversity, Objects, Weights

MODES = ["objective_product", "gain_product"]


def both(p, mode, *, quotas=(), block_rows=1024):
    pool = Pool(p.x, np.ones(len(p.x), bool))
    given = {"candidates": p.candidates, "preselected": p.preselected, "mode": mode}

    def gate():
        sums = [(t.values, 2.0) for t in p.terms if isinstance(t, Weights) and t.stop_at_sum is not None]
        return Gate(p.candidates, p.n, quotas=quotas, sums=sums, preselected=p.preselected, rows=len(p.x))

    fast = product(pool, p.terms, gate=gate(), block_rows=block_rows, **given)
    plain = greedy(pool, p.terms, max(1, min(p.n, len(p.candidates))), gate=gate(), **given)
    return fast, plain


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("start", range(0, 150, 50))
@pytest.mark.parametrize("many", [512, 1])
def test_product__picks_what_the_plain_pass_picks(mode, start, many, monkeypatch):
    monkeypatch.setattr(factors, "_MANY", many)  # 1: shares are bounded, not listed
    for seed in range(start + (many == 1) * 1000, start + 50 + (many == 1) * 1000):
        p = problems.lazy_problem(seed)
        assert is_lazy(p.terms)

        fast, plain = both(p, mode, block_rows=int(np.random.default_rng(seed).choice([2, 7, 1024])))

        assert fast == plain, f"seed {seed}"


@pytest.mark.parametrize("mode", MODES)
def test_product__looks_ahead_far_and_across_classes(mode):
    for seed in (0, 1, 5):
        rng = np.random.default_rng(seed)
        n = 1000
        x = rng.standard_normal((n, 8)).astype(np.float32)
        labels = rng.choice(6, n, p=[0.5, 0.3, 0.1, 0.05, 0.04, 0.01])
        shares = np.eye(6)[labels] if seed % 2 else rng.dirichlet(np.ones(6) / 2, n)
        balances = [Balance(shares, np.ones(6) / 6, float(rng.choice([1.0, 5.0])))]
        if seed == 5:
            balances.append(Balance(np.eye(2)[rng.integers(0, 2, n)], np.array([0.9, 0.1])))
        terms = [Diversity(2.0), Diversity(-1.0), Weights(rng.random(n)), *balances]
        rows = np.arange(n)

        fast, plain = both(problems.Problem(x, terms, 80, rows, rows[:0]), mode, block_rows=40)

        assert fast == plain


@pytest.mark.parametrize("mode", MODES)
def test_product__rules_close_rows_outside_the_block_too(mode):
    for seed in range(25):
        p = problems.lazy_problem(seed)
        rng = np.random.default_rng(seed)
        labels = rng.integers(-1, 3, len(p.x))
        quota = Quota(labels, np.zeros(3, np.int64), rng.integers(0, 4, 3))

        fast, plain = both(p, mode, quotas=[quota], block_rows=5)

        assert fast == plain, f"seed {seed}"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("strength", [1e3, 1e9, -1e9])
def test_product__large_strengths_leave_the_others_to_decide_ties(mode, strength):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        n = 150
        x = rng.standard_normal((n, 4)).astype(np.float32)
        balance = Balance(np.eye(4)[rng.integers(0, 4, n)], np.ones(4) / 4, strength)
        terms = [Diversity(), Weights(rng.integers(1, 4, n).astype(float)), balance]
        rows = np.arange(n)

        fast, plain = both(problems.Problem(x, terms, 25, rows, rows[:0]), mode, block_rows=20)

        assert fast == plain


def test_product__ends_where_the_plain_pass_ends():
    rng = np.random.default_rng(3)
    x, values = rng.standard_normal((80, 2)).astype(np.float32), rng.random(80)
    rows = np.arange(80)
    for terms, why in [
        ([Diversity(1.0, None, 1.2, "skip"), Weights(values)], "too_close"),
        ([Diversity(1.0, None, 1.2, "stop"), Weights(values)], "too_close"),
        ([Diversity(), Weights(values, 5.0, stop_below=0.8)], "minimum_typicality"),
        ([Diversity(), Weights(values, stop_at_sum=2.0)], "max_sum"),
    ]:
        fast, plain = both(problems.Problem(x, terms, 70, rows, rows[:0]), "objective_product", block_rows=9)

        assert fast == plain
        assert (fast.ended, 0 < len(fast.rows) < 70) == (why, True)


def test_is_lazy__needs_row_distances_with_a_positive_strength():
    weights = Weights(np.ones(3))
    objects = Objects(np.zeros((0, 2), np.float32), np.empty(0, np.int64))

    assert is_lazy([Diversity(), weights])
    assert is_lazy([Diversity(2.0), Diversity(-1.0)])
    assert not is_lazy([weights])
    assert not is_lazy([Diversity(1.0), Diversity(-1.0), weights])
    assert not is_lazy([Diversity(), Diversity(objects=objects)])
    assert not is_lazy([Diversity(), Weights(np.ones(3), target=(0.0, 1.0))])
