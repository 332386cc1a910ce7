import math

import numpy as np
import pytest

from worker.selection.objectives import Spread, distinct_rows, objective_of
from worker.selection.pool import Pool
from worker.selection.terms import Balance, Diversity, Objects, Weights

NONE = np.empty(0, np.int64)


def started(term, rows=4, *, n=4, preselected=(), sizes=None, x=None):
    x = np.zeros((rows, 1), np.float32) if x is None else np.array(x, np.float32)
    pool = Pool(x, np.ones(len(x), bool))
    return objective_of(term, pool, n=n, preselected=np.array(preselected, np.int64), sizes=sizes)


def test_objective_of__diversity_by_hand():
    objective = started(Diversity(), x=[[0.0], [3.0], [10.0], [4.0]])
    assert (objective.values(), objective.value()) == (None, 0.0)

    objective.add(0)
    assert objective.values().tolist() == [0, 9, 100, 16]

    objective.add(2)
    # 0 and 10 are each other's nearest: 100 twice. A row tried does not shorten them.
    assert objective.values().tolist() == [200, 209, 200, 216]

    objective.add(3)
    assert objective.value() == 16 + 36 + 16


def test_objective_of__objects_are_neighbours_of_their_siblings():
    vectors = np.array([[0], [3], [100], [107], [10], [20]], np.float32)
    objects = Objects(vectors, np.array([0, 0, 1, 1, 3, 3]))
    objective = started(Diversity(objects=objects))
    assert objective.values().tolist() == [1, 1, 0, 1]
    assert math.isinf(objective.nearest[2])

    objective.add(2)  # owns nothing, so that nothing is selected yet
    assert (objective.values().tolist(), objective.value()) == ([1, 1, 0, 1], 0.0)

    objective.add(0)
    assert objective.value() == 9 + 9
    assert objective.values()[3] == 18 + (7**2 + 17**2) / 2

    objective.add(1)
    assert objective.value() == 9 + 9 + 49 + 49
    assert objective.values()[2] == 0


def test_objective_of__weights_by_hand():
    objective = started(Weights(np.array([1.0, 2, 4, 8])), preselected=[1])

    objective.add(3)

    assert objective.values().tolist() == [11, 12, 14, 18]
    assert objective.value() == 10


def test_objective_of__balance_by_hand():
    shares, target = np.array([[1.0, 0], [0, 1], [0.5, 0.5], [0, 0]]), np.array([0.75, 0.25])
    objective = started(Balance(shares, target))

    def worth(*p):
        return -1 / sum(t * math.log(q + 1e-10) for t, q in zip(target, p, strict=True))

    assert objective.values() == pytest.approx([worth(1, 0), worth(0, 1), worth(0.5, 0.5), worth(0, 0)])
    assert objective.value() == pytest.approx(worth(0, 0))

    objective.add(0)
    assert objective.values() == pytest.approx([worth(1, 0), worth(0.5, 0.5), worth(0.75, 0.25), worth(1, 0)])
    assert objective.value() == pytest.approx(worth(1, 0))


def test_objective_of__a_perfect_balance_is_the_best_there_is():
    objective = started(Balance(np.array([[1.0, 0], [0, 1], [1, 0], [0.9, 0.1]]), np.array([1.0, 0.0])))

    assert objective.values()[0] == pytest.approx(1e10, rel=1e-9)
    assert objective.values().argmax() == 0


def test_objective_of__classes_that_serve_equally_are_exactly_equal():
    rng = np.random.default_rng(0)
    shares = np.eye(7)[rng.integers(0, 7, 70)]
    objective = started(Balance(shares, np.full(7, 1 / 7)), rows=70)
    for label in (3, 5, 5, 0, 0, 6):
        objective.add(int(shares[:, label].argmax()))

    values = [objective.values()[int(shares[:, label].argmax())] for label in range(7)]

    # Classes 1, 2, 4 have none yet; 3 and 6 have one; 0 and 5 have two.
    assert values[1] == values[2] == values[4] > values[3] == values[6] > values[0] == values[5]


def test_objective_of__target_by_hand():
    objective = started(Weights(np.array([1.0, 2, 4, 8]), target=(8.0, 12.0)), n=4, preselected=[3])
    assert objective.value() == 1.0
    # After one pick the line is from 2 to 3, and the scale is 10.
    assert objective.values() == pytest.approx([1 / 1.1, 1.0, 1 / 1.1, 1 / 1.5])

    objective.add(0)
    assert objective.value() == pytest.approx(1 / 1.1)
    assert objective.values()[2] == pytest.approx(1.0)  # 5 lies between 4 and 6


@pytest.mark.parametrize(
    ("target", "scale"),
    [((2.0, math.inf), 2.0), ((0.0, math.inf), 1.0), ((0.0, 0.0), 1.0), ((0.0, 6.0), 3.0)],
)
def test_objective_of__scale_of_a_target(target, scale):
    assert started(Weights(np.ones(4), target=target)).scale == scale


def test_objective_of__a_unit_moves_the_target_by_its_size():
    objective = started(Weights(np.array([3.0, 1, 1, 1]), target=(4.0, 4.0)), sizes=np.array([3, 1, 1, 1]))

    assert objective.values()[0] == 1.0  # a sum of 3 after 3 of 4
    objective.add(0)
    assert objective.values()[1] == 1.0


def test_spread__is_zero_for_one_and_counts_both_ends():
    spread = Spread()
    spread.add(np.empty(0))
    assert spread.sum() == 0.0
    spread.add(np.array([9.0]))
    assert spread.sum() == 18.0
    spread.add(np.array([4.0, 1.0]))
    assert spread.sum() == 4 + 1 + 1


def test_distinct_rows__finds_equal_ones_whatever_their_zeros_sign():
    rows = np.array([[0.0, 1], [2, 3], [-0.0, 1], [2, 3.5]])

    distinct, of = distinct_rows(rows)

    assert len(distinct) == 3
    assert (distinct[of] == rows).all()
