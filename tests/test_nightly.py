"""Nightly curation as a deployment does it: a schedule, a worker, a beat, three nights into one datapool."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.client import Client
from tests.deployment import Deployment, deployment, wait_until_ended
from tests.photos import make_photos
from tests.worker.runs import job


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Deployment]:
    with deployment(tmp_path / "deployment") as found:
        found.worker()
        found.beat()
        yield found


def night(running: Deployment, client: Client) -> dict[str, Any]:
    """Submit the schedule's job now, wait for its end, and return its done.json with its picks."""
    status = wait_until_ended(client, client.run_now("nightly").job_id)
    assert status.state == "done", status.reason
    folder = running.outputs / "night" / status.job_id
    done: dict[str, Any] = json.loads((folder / "done.json").read_text())
    return done | {"picks": (folder / "selected.txt").read_text().split(), "id": status.job_id}


def test_three_nights__read_only_what_is_new_and_complement_what_was_kept(running: Deployment) -> None:
    client = running.client()
    document = job(running.inputs, running.outputs, datapool={"name": "fleet"})
    document["datasource"]["process"] = "new"
    client.add_schedule("nightly", cron="0 2 * * *", timezone="Europe/Berlin", job=document)

    first_keys = set(make_photos(running.inputs, 24, prefix="monday/"))
    first = night(running, client)
    second_keys = set(make_photos(running.inputs, 24, first=24, prefix="tuesday/"))
    second = night(running, client)
    third = night(running, client)

    assert set(first["picks"]) < first_keys
    assert set(second["picks"]) < second_keys
    assert len(first["picks"]) == len(second["picks"]) == 6
    assert (second["counts"]["read"], second["counts"]["earlier"]) == (24, 24)
    assert second["counts"]["preselected"] == 6
    report = json.loads((running.outputs / "night" / second["id"] / "report.json").read_text())
    sets = {one["name"]: one["samples"] for one in report["analysis"]["diversity"]["sets"]}
    assert (sets["datapool"], sets["selected"], sets["selected_with_datapool"]) == (6, 6, 12)
    assert second["ledger"]["stages"]["embed"]["requests"]["GET"] == 24, "an image was read that is not new"

    assert (third["nothing_new"], third["picks"], third["counts"]["earlier"]) == (True, [], 48)
    (told,) = client.schedules.all()
    assert told.last_done is not None
    pool = running.outputs / ".framesift" / "datapools" / "fleet"
    assert len(list(pool.glob("g000001/v*.parquet"))) == 2
    assert not [line for line in running.said("one").splitlines() if "Traceback" in line]
