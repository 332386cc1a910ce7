"""The protocol between records, steps and bucket, one call at a time, at the moments that no kill hits reliably."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from jobs.client import Client
from jobs.ids import digest
from jobs.queue import connect, make_app
from jobs.records import Records
from tests.photos import make_photos
from tests.redis_server import RedisServer, redis_server
from tests.worker.runs import job
from worker import report
from worker.lease import Lease
from worker.queued.attempts import Attempts
from worker.queued.endings import Endings
from worker.queued.post import Post
from worker.queued.reconcile import Reconciler
from worker.queued.steps import Steps
from worker.settings import Settings


@dataclass
class Machine:
    """A worker and a beat without processes: each step is one call."""

    folder: Path
    redis: RedisServer
    outputs: tuple[str, ...]
    records: Records = field(init=False)
    attempts: Attempts = field(init=False)
    reconciler: Reconciler = field(init=False)
    client: Client = field(init=False)

    def __post_init__(self) -> None:
        settings = Settings(
            redis_url=self.redis.url,
            outputs=self.outputs,
            inputs=[str(self.folder / "in")],
            device="cpu",
            chunk_sources=8,
            decode_processes=1,
            max_attempts=1,
            lost_after_s=0.001,
        )
        self.records = Records(connect(settings), settings.redis_prefix)
        post = Post(make_app(settings), self.records, window=16)
        endings = Endings(settings, self.records, post)
        self.attempts = Attempts(
            settings, self.records, Steps(settings, self.records, post, endings, worker="w"), endings
        )
        self.reconciler = Reconciler(settings, self.records, post)
        self.client = Client(settings)

    def job(self, name: str = "out", **changes: Any) -> dict[str, Any]:
        """Return a job with an output of its own."""
        return job(self.folder / "in", self.folder / name, **changes)

    def submit(self, **changes: Any) -> str:
        """Submit a job and return its id."""
        return self.client.submit(self.job(**changes)).job_id

    def run(self, job_id: str, *, until: str = "") -> None:
        """Do what is in flight until a stage is reached, or until the job has ended."""
        for _ in range(20):
            record = self.records.load(job_id)
            if record.ended or record.stage == until:
                return
            for step in self.records.flight(job_id):
                self.attempts.run(job_id, step)
        raise AssertionError(f"{job_id} goes round in circles: {self.client.status(job_id)}")

    def lease(self, job_id: str, step: str) -> Lease:
        """Return a lease that somebody else holds on a step."""
        lease = Lease(self.records.redis, self.records.lease_key(job_id, step), 60)
        assert lease.take()
        return lease

    def told(self, job_id: str) -> dict[str, Any]:
        """Return a job's done.json."""
        found: dict[str, Any] = json.loads((self.folder / "out" / "night" / job_id / "done.json").read_text())
        return found


def no_pdf(_: str) -> bytes:
    raise report.PdfFailed("a test can do without")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setattr(report, "render_pdf", no_pdf)
    make_photos(tmp_path / "in", 40)
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis") as redis:
        yield Machine(tmp_path, redis, (str(tmp_path / "out"),))


def test_step__that_ends_after_its_job_has_does_not_revive_it(machine: Machine) -> None:
    job_id = machine.submit()
    machine.run(job_id, until="embed")
    machine.records.end(job_id, state="failed", keep_days=1, reason="why not")
    assert machine.records.refill(job_id, window=16) == (False, [])
    assert not machine.records.to_stage(job_id, "embed", "select", step="select")
    assert machine.client.status(job_id).state == "failed"
    assert machine.records.flight(job_id) == {}


def test_cancel__waits_for_whoever_works_on_the_job(machine: Machine) -> None:
    job_id = machine.submit()
    machine.run(job_id, until="embed")
    busy = machine.lease(job_id, "0")
    machine.client.cancel(job_id)
    machine.attempts.run(job_id, "plan")
    machine.reconciler.reconcile()
    assert machine.client.status(job_id).cancelling
    with busy:
        pass
    machine.reconciler.reconcile()
    assert machine.client.status(job_id).state == "cancelled"
    assert machine.told(job_id)["state"] == "cancelled"


def test_cancel__of_a_job_whose_done_json_is_written_finds_it_done(machine: Machine) -> None:
    machine.reconciler.reconcile()
    job_id = machine.submit()
    machine.run(job_id, until="report")
    folder = machine.folder / "out" / "night" / job_id
    (folder / "done.json").write_text(json.dumps({"state": "done"}))  # and its writer died before it said so
    machine.client.cancel(job_id)
    machine.reconciler.reconcile()
    assert machine.client.status(job_id).state == "done"
    assert machine.told(job_id)["state"] == "done"


def test_chunk__given_up_stays_so_for_its_job_when_redis_has_forgotten(machine: Machine) -> None:
    job_id = machine.submit(limits={"max_failed_chunks": 1})
    machine.run(job_id, until="embed")
    machine.records.note_error(job_id, "1", "it does not like it")
    machine.records.chunk_failed(job_id, 1)
    machine.run(job_id, until="report")
    skipped = (machine.folder / "out" / "night" / job_id / "skipped.json").read_bytes()
    machine.redis.client().flushall()
    machine.reconciler.reconcile()
    machine.run(job_id, until="embed")
    assert machine.records.failed(job_id) == [1]
    machine.run(job_id, until="select")
    (chunk, *_) = (machine.folder / "out" / ".framesift" / "chunks").iterdir()
    for facet in chunk.iterdir():
        facet.unlink()
    machine.run(job_id, until="embed")  # the selection finds out
    machine.run(job_id)
    assert machine.client.status(job_id).state == "done"
    assert (machine.folder / "out" / "night" / job_id / "skipped.json").read_bytes() == skipped


def test_redis__that_lost_its_last_writes_is_compared_with_the_outputs(machine: Machine) -> None:
    machine.reconciler.reconcile()
    job_id = machine.submit()
    machine.run(job_id, until="embed")
    keys = machine.redis.client().keys(f"*{job_id}*")
    machine.redis.client().delete(*keys)
    machine.redis.client().srem("framesift:active", job_id)
    machine.reconciler.reconcile()
    assert machine.records.find(job_id) is None, "nobody looks while the server stays the same"
    machine.redis.kill()
    machine.redis.start()
    machine.reconciler.reconcile()
    assert machine.client.status(job_id).state == "accepted"


def test_job__that_is_tried_again_is_not_ended_by_what_the_bucket_says_of_its_first_try(
    machine: Machine,
) -> None:
    job_id = machine.submit()
    machine.run(job_id, until="embed")
    machine.client.cancel(job_id)
    machine.run(job_id)
    assert machine.told(job_id)["state"] == "cancelled"
    machine.client.retry(job_id)
    machine.reconciler.reconcile()  # the first look of a beat that was started late
    machine.run(job_id)
    assert machine.told(job_id)["state"] == "done"


def test_output__that_cannot_be_read_keeps_nobody_else_waiting(machine: Machine) -> None:
    job_id = machine.submit()
    machine.run(job_id, until="embed")
    broken = machine.folder / "broken"
    broken.write_text("a file where a folder should be")
    both = Machine(machine.folder, machine.redis, (str(broken), str(machine.folder / "out")))
    machine.redis.client().flushall()
    both.reconciler.reconcile()
    assert machine.client.status(job_id).state == "accepted"
    assert not machine.redis.client().exists("framesift:epoch"), "it is to be looked at again"
    both.run(job_id)
    broken.unlink()
    both.reconciler.reconcile()
    assert machine.redis.client().exists("framesift:epoch")


@pytest.mark.parametrize("step", ["plan", "0", "select"])
def test_step__that_was_missed_just_when_it_ended_is_not_waited_for(machine: Machine, step: str) -> None:
    job_id = machine.submit()
    machine.run(job_id, until="embed")
    if step == "0":
        machine.attempts.run(job_id, step)
    assert not machine.records.sent_again(job_id, step, at=0.0)
    machine.records.sent(job_id, step, at=0.0)  # as a look at an old record could have it
    machine.run(job_id)
    assert machine.told(job_id)["state"] == "done"


@pytest.mark.parametrize("stage", ["plan", "embed", "select", "report"])
def test_redis__that_loses_everything_during_a_step_loses_no_job(
    machine: Machine, stage: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = machine.client.submit(machine.job(), idempotency_key="night").job_id
    machine.run(job_id, until=stage)
    do = Steps.do

    def do_while_redis_forgets(steps: Steps, *args: Any) -> None:
        machine.redis.client().flushall()
        do(steps, *args)

    with monkeypatch.context() as patched:
        patched.setattr(Steps, "do", do_while_redis_forgets)
        machine.attempts.run(job_id, next(iter(machine.records.flight(job_id))))
    machine.reconciler.reconcile()
    assert machine.client.submit(machine.job(), idempotency_key="night").job_id == job_id
    machine.run(job_id)
    assert machine.told(job_id)["state"] == machine.client.status(job_id).state == "done"
    assert not [record for record in caplog.records if record.exc_info]


def test_a_datapool__is_joined_by_one_selection_at_a_time(machine: Machine) -> None:
    make_photos(machine.folder / "in", 8)
    first = machine.submit(datapool={"name": "fleet"})
    machine.run(first)
    second = machine.submit(datapool={"name": "fleet"}, seed=1)
    machine.run(second, until="select")
    store = machine.folder / "out"
    key = machine.records.key("lease", "datapool", digest(f"{store}/", "fleet"))
    another = Lease(machine.records.redis, key, 60)
    assert another.take()
    machine.attempts.run(second, "select")
    told = machine.client.status(second)
    assert (told.state, told.waits_for) == ("running", "the datapool 'fleet', to which another job is adding")
    assert machine.records.tries(second)["select"] == 0, "waiting counted as a try"
    machine.records.redis.delete(key)
    machine.run(second)
    told = machine.client.status(second)
    assert (told.state, told.waits_for) == ("done", None)
    assert machine.records.redis.exists(key) == 0
    comparing = machine.submit(datapool={"name": "fleet", "update": False}, seed=2)
    assert another.take()
    machine.run(comparing)
    assert machine.client.status(comparing).state == "done"
