"""Twenty jobs of `make soak`."""

from collections.abc import Callable
from pathlib import Path

from tests.faults.soak import soak


def test_soak__loses_no_job_and_does_none_twice(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    figures = soak(tmp_path, jobs=20, seed=1, fault="no-pdf")
    record_property("soak", str(figures))
    assert sum(figures.faults.values()) >= 2
