import numpy as np
import pytest

from worker.analysis.goals import Goal
from worker.analysis.growth import grow
from worker.analysis.replays import Compared, Effort, replay
from worker.device import Device
from worker.selection.gain import gain_of
from worker.selection.objectives import objective_of
from worker.selection.pool import Pool
from worker.selection.terms import Balance, Diversity, Mode, Objects, Term, Weights

ROWS = 40
RNG = np.random.default_rng(3)
EMBEDDINGS = RNG.standard_normal((ROWS, 3)).astype(np.float32)
POOL = Pool(EMBEDDINGS, np.ones(ROWS, bool))
TERMS: dict[str, Term] = {
    "diversity": Diversity(),
    "objects": Diversity(
        objects=Objects(RNG.standard_normal((60, 2)).astype(np.float32), np.sort(RNG.integers(0, ROWS, 60)))
    ),
    "weights": Weights(RNG.random(ROWS), strength=-2.0),
    "target": Weights(RNG.random(ROWS), target=(3.0, 4.0)),
    "balance": Balance(np.eye(3)[RNG.integers(0, 3, ROWS)], np.array([0.5, 0.3, 0.2]), strength=0.5),
    "probabilities": Balance(RNG.dirichlet(np.ones(4), ROWS), np.full(4, 0.25)),
}
PICKS = np.array([5, 30, 2, 17, 9, 21])
ALREADY = np.array([0, 33])
OTHERS = np.array([1, 9, 12, 25, 30])
NEVER = len(PICKS)
TAKEN_AT = np.array([NEVER, 4, NEVER, NEVER, 1])


def replayed(term: Term, *, already: np.ndarray = ALREADY, others: np.ndarray = OTHERS, mode: Mode) -> Effort:
    return replay(
        Goal("it", term),
        EMBEDDINGS,
        PICKS,
        already=already,
        growth=grow(EMBEDDINGS, PICKS, before=already, device=Device("cpu", "CPU", 1)),
        compared=Compared(others, TAKEN_AT if len(others) else others),
        mode=mode,
        asked=len(PICKS),
    )


@pytest.mark.parametrize("mode", ["objective_product", "gain_product"])
@pytest.mark.parametrize("name", TERMS)
def test_replay__agrees_with_the_objectives_that_pick(name: str, mode: Mode) -> None:
    term = TERMS[name]
    found = replayed(term, mode=mode)
    objective = objective_of(term, POOL, n=len(PICKS), preselected=ALREADY)
    scores = gain_of(term, POOL, n=len(PICKS), preselected=ALREADY) if mode == "gain_product" else objective
    for step, pick in enumerate(PICKS.tolist()):
        assert found.before[step] == pytest.approx(objective.value(), rel=1e-9)
        values = scores.values()
        assert values is not None
        still_open = [row for row, taken in zip(OTHERS, TAKEN_AT, strict=True) if taken > step]
        others = values[still_open][np.isfinite(values[still_open])]
        lead = np.log(max(values[pick], 5e-324)) - np.log(np.maximum(others, 5e-324)).mean()
        if np.isfinite(values[pick]):
            assert found.lead[step] == pytest.approx(term.strength * lead, rel=1e-9, abs=1e-12)
        else:
            assert np.isnan(found.lead[step])
        objective.add(pick)
        if scores is not objective:
            scores.add(pick)
        assert found.after[step] == pytest.approx(objective.value(), rel=1e-9)


def test_replay__the_first_pick_by_diversity_has_no_lead() -> None:
    found = replayed(Diversity(), already=np.array([], np.int64), mode="objective_product")
    assert np.isnan(found.lead[0])
    assert not np.isnan(found.lead[1:]).any()


def test_replay__without_others_there_is_no_lead() -> None:
    for term in (Diversity(), TERMS["weights"]):
        found = replayed(term, others=np.array([], np.int64), mode="objective_product")
        assert np.isnan(found.lead).all()
        assert (found.after != found.before).all()
