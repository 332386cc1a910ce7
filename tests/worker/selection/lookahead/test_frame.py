import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.selection.lookahead.frame import Frame


def products(x, norms):
    frame = Frame.around(x, "cpu")
    placed = frame.place(torch.from_numpy(x))
    mine = frame.upper(placed)
    if norms == "lower":
        mine = frame.lower(mine)
    return ((placed @ frame.columns(placed, mine)) + mine[:, None]).double().numpy() / frame.scale**2


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 30),
    d=st.integers(1, 600),
    size=st.sampled_from([1e-40, 1e-17, 1.0, 1e15]),
    offset=st.sampled_from([0.0, 1.0, 3000.0]),
    spread=st.sampled_from([0, 1, 6]),
)
def test_frame__products_enclose_the_true_squares(*, seed, n, d, size, offset, spread):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-spread, 0, (n, 1)) + offset
    x = (x * size).astype(np.float32)
    true = ((x[:, None].astype(np.float64) - x[None]) ** 2).sum(axis=2)

    assert (products(x, "lower") <= true).all()
    assert (true <= products(x, "upper")).all()


def test_frame__is_wide_enough_for_every_vector():
    x = np.random.default_rng(0).standard_normal((9000, 3)).astype(np.float32)
    x[8999] = 1e17

    frame = Frame.around(x, "cpu")

    assert frame.place(torch.from_numpy(x))[:, :-1].square().sum(dim=1).max() <= 1


@pytest.mark.parametrize("x", [np.zeros((3, 2), np.float32), np.empty((0, 2), np.float32)])
def test_around__nothing_to_measure(x):
    assert Frame.around(x, "cpu").scale == 1.0
