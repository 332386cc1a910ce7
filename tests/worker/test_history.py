"""Runs of a job that the bucket knows."""

from datetime import UTC, datetime
from pathlib import Path

from worker.history import begin_run, count_attempt, unfinished_run
from worker.storage.local import LocalStore

NOW = datetime(2026, 11, 22, 4, 15, tzinfo=UTC)


def begin(store: LocalStore, text: str = "{}") -> str:
    return begin_run(store, job_json=text, plan=b"plan", now=NOW)


def test_unfinished_run__finds_the_same_job_only(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    job_id = begin(store)
    begin(store, '{"other": 1}')
    assert job_id.startswith("20261122T041500Z-")
    assert unfinished_run(store, job_name="night", job_json="{}") == job_id
    assert unfinished_run(store, job_name="night", job_json='{"third": 1}') is None


def test_unfinished_run__a_done_run_is_not_taken_up(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    job_id = begin(store)
    store.put(f"night/{job_id}/done.json", b"{}", media_type="application/json")
    assert unfinished_run(store, job_name="night", job_json="{}") is None


def test_begin_run__two_within_a_second_differ(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    assert begin(store) != begin(store)


def test_count_attempt__counts(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    job_id = begin(store)
    assert [count_attempt(store, job_id) for _ in range(3)] == [1, 2, 3]


def test_unfinished_run__what_was_begun_before_a_finished_run_is_history(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    begin(store)
    later = begin(store)
    store.put(f"night/{later}/done.json", b"{}", media_type="application/json")
    assert unfinished_run(store, job_name="night", job_json="{}") is None
