from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.analysis.balance import balance_facts, fill, is_met, misplaced, outlook, shares_of
from worker.analysis.goals import Goal
from worker.facts import BalanceFacts
from worker.selection.terms import Balance

NONE = np.array([], np.int64)


def facts_of(
    labels: list[int], target: list[float], selected: list[int], before: np.ndarray = NONE
) -> BalanceFacts:
    term = Balance(np.eye(len(target))[labels], np.array(target))
    goal = Goal("balance of kind", term, tuple("abcdef"[: len(target)]))
    candidates = np.setdiff1d(np.arange(len(labels)), before)
    return balance_facts(
        goal, term, selected=np.array(selected, np.int64), candidates=candidates, before=before
    )


def cross_entropy(counts: np.ndarray, target: np.ndarray) -> float:
    return float(-(target * np.log(counts / max(1, counts.sum()) + 1e-10)).sum())


def test_fill__gives_a_rare_class_its_first_sample_before_a_common_one_its_last() -> None:
    assert fill(np.array([9, 9]), np.array([0.02, 0.98]), 5).tolist() == [1, 4]


def test_fill__reaches_a_target_that_the_input_has() -> None:
    assert fill(np.array([90, 90]), np.array([0.3, 0.7]), 10).tolist() == [3, 7]


def test_fill__gives_the_others_what_a_class_lacks() -> None:
    assert fill(np.array([2, 90, 90]), np.array([0.5, 0.25, 0.25]), 12).tolist() == [2, 5, 5]


def test_fill__counts_what_was_kept_before() -> None:
    assert fill(np.array([90, 90]), np.array([0.5, 0.5]), 6, already=np.array([4.0, 0.0])).tolist() == [1, 5]


def test_fill__takes_unwanted_classes_last() -> None:
    assert fill(np.array([3, 50]), np.array([1.0, 0.0]), 5).tolist() == [3, 2]


def test_fill__more_than_there_are_and_nothing_at_all() -> None:
    assert fill(np.array([2, 1]), np.array([0.5, 0.5]), 9).tolist() == [2, 1]
    assert fill(np.array([2, 1]), np.array([0.5, 0.5]), 0).tolist() == [0, 0]


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(0, 6), min_size=1, max_size=3),
    asked=st.integers(1, 12),
    kept=st.integers(0, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_fill__nothing_is_nearer(counts: list[int], asked: int, kept: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    already = rng.multinomial(kept, np.full(len(counts), 1 / len(counts))).astype(float)
    target = rng.dirichlet(np.ones(len(counts)))
    n = min(asked, sum(counts))
    filled = fill(np.array(counts), target, asked, already=already)
    assert filled.sum() == n
    assert (filled <= counts).all()
    every = [np.array(one) for one in product(*(range(most + 1) for most in counts)) if sum(one) == n]
    best = min(cross_entropy(already + one, target) for one in every)
    assert cross_entropy(already + filled, target) == pytest.approx(best, rel=1e-9)


def test_outlook__is_known_from_counts_alone() -> None:
    rare, common = outlook(["rare", "common"], np.array([10, 500]), np.array([0.5, 0.5]), 100)
    assert (rare.achieved, rare.achievable, rare.reasons) == (None, 0.1, ("impossible",))
    assert common.reasons == ("impossible",)
    assert outlook(["a", "b"], np.array([500, 500]), np.array([0.5, 0.5]), 100)[0].reasons == ()


def test_outlook__few_samples_cannot_be_cut() -> None:
    rare, _ = outlook(["rare", "common"], np.array([10, 500]), np.array([0.02, 0.98]), 10)
    assert (rare.achievable, rare.reasons) == (0.1, ("too_few_samples",))


def test_balance_facts__a_target_that_is_met_has_no_reasons() -> None:
    found = facts_of([0] * 10 + [1] * 10, [0.5, 0.5], [0, 1, 10, 11])
    assert [one.reasons for one in found.classes] == [(), ()]
    assert (found.misplaced, found.misplaced_at_best, found.joint) == (0, 0, True)


def test_balance_facts__tells_the_three_reasons_apart() -> None:
    impossible = facts_of([0] * 2 + [1] * 30, [0.5, 0.5], [0, 1, *range(2, 10)])
    assert {one.reasons for one in impossible.classes} == {("impossible",)}
    given_up = facts_of([0] * 20 + [1] * 20, [0.5, 0.5], [*range(8), 20, 21])
    assert {one.reasons for one in given_up.classes} == {("trade_off",)}
    few = facts_of([0] * 20 + [1] * 20, [0.5, 0.5], [0, 1, 20])
    assert {one.reasons for one in few.classes} == {("too_few_samples",)}
    both = facts_of([0] * 4 + [1] * 30, [0.5, 0.5], [0, *range(4, 13)])
    assert both.classes[0].reasons == ("impossible", "trade_off")


def test_balance_facts__a_share_that_went_the_other_way_is_no_fault_of_the_input() -> None:
    """Class c is rare, so b could have had more than it asked for; that it got less is a trade-off."""
    found = facts_of([0] * 50 + [1] * 50 + [2], [0.4, 0.4, 0.2], [*range(19), 50, 51])
    assert found.classes[1].achievable > 0.4
    assert found.classes[1].reasons == ("trade_off",)


def test_balance_facts__what_was_kept_before_counts() -> None:
    found = facts_of([0, 0, 1, 1, 1, 1], [0.5, 0.5], [2, 3], before=np.array([0, 1]))
    assert [one.achieved for one in found.classes] == [0.5, 0.5]


def test_balance_facts__an_empty_selection() -> None:
    found = facts_of([0, 1], [0.5, 0.5], [])
    assert [one.achieved for one in found.classes] == [0, 0]


@pytest.mark.parametrize("seed", range(6))
def test_balance_facts__bounds_of_probabilities_hold_for_every_selection(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(3) / 2, 9) * rng.integers(1, 4, (9, 1))
    term = Balance(shares, np.array([0.9, 0.1, 0.0]))
    goal = Goal("balance of kind", term, ("a", "b", "c"))
    found = balance_facts(
        goal, term, selected=np.array([0, 1, 2]), candidates=np.arange(9), before=np.array([8])
    )
    assert not found.joint
    every = np.array([shares_of(shares[[*some, 8]].sum(axis=0)) for some in combinations(range(9), 3)])
    for c, one in enumerate(found.classes):
        if one.reasons:
            nearest = every[np.abs(every[:, c] - one.requested).argmin(), c]
            inside = every[:, c].min() <= one.requested <= every[:, c].max()
            assert one.achievable == pytest.approx(one.requested if inside else nearest)


def test_misplaced__is_the_share_in_a_class_too_many() -> None:
    assert misplaced(np.array([0.7, 0.3]), np.array([0.5, 0.5])) == pytest.approx(0.2)
    assert misplaced(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == 1


def test_is_met__knows_small_shares_and_unwanted_ones() -> None:
    assert is_met(0.5, 0.52)
    assert not is_met(0.5, 0.53)
    assert is_met(0.0, 0.004)
    assert not is_met(0.01, 0.0)
