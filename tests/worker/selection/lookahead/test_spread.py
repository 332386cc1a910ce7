import numpy as np
import pytest

from tests.worker.selection import problems
from worker.selection.lookahead.spread import VectorSpread
from worker.selection.objectives import DiversityObjective


@pytest.mark.parametrize("scale", [1e-18, 1.0, 1e15])
def test_vector_spread__is_the_plain_spread_to_the_last_digit(scale):
    for seed in range(30):
        rng = np.random.default_rng(seed)
        x = ((problems.vectors(rng, 150, int(rng.integers(1, 40))) + rng.integers(0, 9)) * scale).astype(
            np.float32
        )
        plain, quick = DiversityObjective(x), VectorSpread(x)
        for row in rng.permutation(150)[:80]:
            plain.add(int(row))
            assert quick.add(x[row]) == plain.value()


def test_vector_spread__all_zero():
    x = np.zeros((3, 2), np.float32)
    spread = VectorSpread(x)

    assert [spread.add(row) for row in x] == [0, 0, 0]
