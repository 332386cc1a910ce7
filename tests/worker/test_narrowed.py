"""The search that narrows the interval of the best covering radius, in a whole job."""

import json
from pathlib import Path

import numpy as np

from tests.photos import make_photos
from tests.worker.runs import job, prepared, select
from worker.device import choose_device
from worker.events import Events
from worker.narrowed import narrowed


def test_narrowed__is_inside_what_the_selection_proves_and_in_the_log(tmp_path: Path) -> None:
    make_photos(tmp_path / "in", 40)
    plain = select(prepared(job(tmp_path / "in", tmp_path / "plain")))
    asked = job(tmp_path / "in", tmp_path / "out", report={"images": "none", "radius_steps": 300})
    events = Events()

    made = select(prepared(asked), events)

    before, after = plain.findings.content.analysis.proof, made.findings.content.analysis.proof
    assert before.optimum_low <= after.optimum_low <= after.optimum_high <= before.optimum_high
    assert after.optimum_low > before.optimum_low
    assert after.radius_candidates == before.radius_candidates
    assert made.findings.selected == plain.findings.selected
    told = next(json.loads(line) for line in events.log().splitlines() if b'"radius_narrowed"' in line)
    assert told["duration_s"] >= 0
    assert told["lowest"] <= told["highest"] <= told["reached"]


def test_narrowed__is_none_where_there_is_nothing_to_narrow() -> None:
    same = np.ones((5, 2), np.float32)
    everyone = np.ones(5, np.bool_)
    for rows, steps in (([], 100), ([0], 0), ([0], 100)):
        found = narrowed(
            same,
            np.array(rows, np.int64),
            everyone,
            steps=steps,
            seed=0,
            device=choose_device("cpu"),
            events=Events(),
        )
        assert found is None
