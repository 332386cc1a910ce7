"""lightly-mundig's picks are ours, up to the rounding of its float32."""

import numpy as np
import pytest

from worker.device import Device
from worker.selection.engine import select
from worker.selection.pool import Pool
from worker.selection.terms import Balance, Diversity, Objects, Weights

pytest.importorskip("lightly_mundig", reason="lightly-mundig is in the extra `dev`")

from benchmarks.agreement import largest_shortfall, mundig_picks, problem, run_mundig

CPU = Device("cpu", "CPU", 2)
NONE = np.empty(0, np.int64)


@pytest.mark.parametrize("start", range(0, 200, 20))
def test_select__every_pick_of_mundig_is_within_1e_5_of_our_best(start):
    same = 0
    for seed in range(start, start + 20):
        given = problem(seed, largest=5000 if seed % 10 == 0 else 800)
        theirs = mundig_picks(given)
        ours = select(given.pool, given.terms, given.n, device=CPU, preselected=given.preselected)

        assert len(theirs) == len(ours.rows) == given.n
        assert largest_shortfall(given, theirs) < 1e-5, f"seed {seed}"
        same += ours.rows.tolist() == theirs
    assert same >= 17  # 214 of the first 220 are


@pytest.mark.parametrize("strength", [1.0, -1.0])
def test_select__rows_without_objects_as_mundig_has_them(strength):
    objects = Objects(np.array([[0], [10], [12]], np.float32), np.array([1, 1, 4]))
    embeddings = np.zeros((6, 1), np.float32)
    for terms in ([Diversity(strength, objects)], [Diversity(strength, objects), Weights(np.arange(1.0, 7))]):
        pool = Pool(embeddings, np.ones(6, bool))
        for started in (NONE, np.array([1]), np.array([0])):
            ours = select(pool, terms, 6 - len(started), device=CPU, preselected=started).rows.tolist()
            assert ours == run_mundig(embeddings, terms, 6 - len(started), started)


def test_select__rows_without_shares_as_mundig_has_them():
    shares = np.array([[0.0, 0], [1, 0], [0, 1], [0.5, 0.5], [0, 0]])
    embeddings = np.zeros((5, 1), np.float32)
    pool = Pool(embeddings, np.ones(5, bool))
    for first in ([1.0, 1, 1, 1, 1], [2.1, 1, 1, 0.01, 1], [1.9, 1, 1, 0.01, 1]):
        terms = [Balance(shares, np.array([0.5, 0.5])), Weights(np.array(first))]
        ours = select(pool, terms, 5, device=CPU).rows.tolist()
        assert ours == run_mundig(embeddings, terms, 5, NONE)
