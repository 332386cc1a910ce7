import numpy as np
import pytest

from worker.video.runs import Run, after_death, plan_runs
from worker.video.scanned import Packets


def packets(pts: list[int], keys: list[int], *, shown: list[bool] | None = None) -> Packets:
    """Return packets of 100 bytes each, one behind the other from byte 1000 on."""
    key = np.zeros(len(pts), bool)
    key[keys] = True
    return Packets(
        np.array(pts, np.int64),
        key,
        np.array(shown if shown is not None else [True] * len(pts)),
        1000 + 100 * np.arange(len(pts), dtype=np.int64),
        np.full(len(pts), 100, np.int64),
    )


CLOSED = packets([0, 3, 1, 2, 4, 7, 5, 6], [0, 4])
OPEN = packets([0, 3, 1, 2, 6, 4, 5, 7, 10, 8, 9], [0, 4, 8])


def runs(of: Packets, pts: list[int]) -> tuple[Run, ...]:
    return plan_runs(of, pts, indexed=True, size=10_000).runs


def test_plan__no_packet_behind_the_last_one_needed() -> None:
    (run,) = runs(CLOSED, [1])
    assert run == Run(0, 3, 1, (1,), (), follows=False, near=False)
    assert plan_runs(CLOSED, [1], indexed=True, size=10_000).spans == (
        (1000, 1100),
        (1100, 1200),
        (1200, 1300),
    )


def test_plan__a_key_frame_needs_itself_alone() -> None:
    plan = plan_runs(CLOSED, [0, 4], indexed=True, size=10_000)
    assert [(run.start, run.count, run.targets) for run in plan.runs] == [(0, 1, (0,)), (4, 1, (4,))]
    assert plan.spans == ((1000, 1100), (1400, 1500))


def test_plan__each_group_once() -> None:
    assert [(run.start, run.count, run.targets) for run in runs(CLOSED, list(range(8)))] == [
        (0, 4, (0, 1, 2, 3)),
        (4, 4, (4, 5, 6, 7)),
    ]


def test_plan__a_frame_before_its_key_frame_needs_the_group_before() -> None:
    before, after = runs(OPEN, [5])
    assert (before.start, before.count, before.targets, before.follows) == (0, 4, (), False)
    assert (after.start, after.count, after.targets, after.follows) == (6, 3, (5,), True)


def test_plan__a_frame_after_its_key_frame_does_not() -> None:
    (run,) = runs(OPEN, [7])
    assert (run.start, run.count, run.follows) == (6, 4, False)


def test_plan__unknown_and_hidden_frames() -> None:
    some = packets([0, 1, 2, 2], [0], shown=[True, False, True, False])
    plan = plan_runs(some, [0, 1, 2, 9], indexed=True, size=10_000)
    assert plan.unknown == (1, 9)
    (run,) = plan.runs
    assert (run.targets, run.hidden) == ((0, 2), (1,))


def test_plan__without_an_index_the_bytes_between_key_frames() -> None:
    plan = plan_runs(CLOSED, [1, 5], indexed=False, size=1800)
    assert plan.spans == ((1000, 1800), (1400, 1800))
    assert [run.near for run in plan.runs] == [False, True]


@pytest.mark.parametrize("seed", range(5))
def test_plan__gives_every_frame_once_in_ascending_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pts = np.sort(rng.choice(11, 6, replace=False)).tolist()
    plan = plan_runs(OPEN, pts, indexed=True, size=10_000)
    assert [one for run in plan.runs for one in run.targets] == pts
    assert len({run.start for run in plan.runs}) == len(plan.runs)
    fed = {byte for start, stop in plan.spans for byte in range(start, stop)}
    assert len(fed) == 100 * sum(run.count for run in plan.runs)


def test_after_death__costs_the_group_under_way() -> None:
    plan = plan_runs(CLOSED, list(range(8)), indexed=True, size=10_000)
    lost, rest = after_death(plan, 2)
    assert lost == (2, 3)
    assert [run.targets for run in rest.runs] == [(4, 5, 6, 7)]
    assert not rest.runs[0].near
    assert after_death(plan, 4)[0] == (4, 5, 6, 7)
    assert after_death(plan, 8) == ((), type(plan)((), plan.spans, ()))


def test_after_death__what_follows_begins_anew() -> None:
    plan = plan_runs(OPEN, [2, 5, 7], indexed=True, size=10_000)
    assert [run.follows for run in plan.runs] == [False, True]
    lost, rest = after_death(plan, 0)
    assert lost == (2,)
    assert [(run.targets, run.follows) for run in rest.runs] == [((5, 7), False)]
