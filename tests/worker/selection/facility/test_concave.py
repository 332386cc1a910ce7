import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.selection.facility.concave import Concave


def test_concave__adds_what_the_formula_says():
    shares = np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    balance = Concave(shares, np.array([0.25, 0.75]), np.array([3.0, 0.0]))

    np.testing.assert_allclose(balance.bounds, [0.5 * (2 - np.sqrt(3)), np.sqrt(0.75 * 2), 0.0], rtol=1e-14)
    balance.add(1)
    np.testing.assert_allclose(balance.bounds[1], np.sqrt(0.75) * (2 - np.sqrt(2)), rtol=1e-14)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), small=st.integers(0, 5), more=st.integers(0, 5))
def test_concave__what_a_row_adds_never_grows(*, seed, small, more):
    rng = np.random.default_rng(seed)
    shares = rng.random((12, 4)) * (rng.random((12, 4)) < 0.6)
    balance = Concave(shares, rng.dirichlet(np.ones(4)), rng.random(4) * rng.integers(0, 2))
    gains = [balance.bounds.copy()]
    for row in rng.permutation(12)[: small + more].tolist():
        balance.add(row)
        gains.append(balance.bounds.copy())

    assert (gains[-1] >= 0).all()
    assert (gains[-1] <= gains[small] * (1 + 1e-12)).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 8))
def test_concave__no_selection_exceeds_the_bound(*, seed, n):
    rng = np.random.default_rng(seed)
    shares, target, have = rng.random((8, 3)), rng.dirichlet(np.ones(3)), rng.random(3)
    balance = Concave(shares, target, have)
    most = balance.most(n)

    total = 0.0
    for row in rng.permutation(8)[:n].tolist():
        total += balance.bounds[row]
        balance.add(row)

    assert total <= most * (1 + 1e-12)
