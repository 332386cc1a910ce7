from dataclasses import FrozenInstanceError

import pytest

from jobs.status import Progress, Stage, State


def test_stage__in_the_order_of_a_job() -> None:
    assert list(Stage) == ["plan", "embed", "select", "report"]


def test_state__every_end_is_named() -> None:
    assert {"done", "failed", "cancelled"} < set(State)


def test_progress__is_a_snapshot() -> None:
    progress = Progress(stage=Stage.PLAN, done=3, total=None, rate=1.5, eta_s=None)
    with pytest.raises(FrozenInstanceError):
        progress.done = 4  # type: ignore[misc]  # the point of the test
