from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs.errors import JobRejected
from jobs.schedule import Schedule, make_schedule, tick_key
from tests.worker.runs import job

JOB = job("s3://recordings/", "s3://curation/")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def schedule(cron: str = "0 2 * * *", timezone: str = "Europe/Berlin", made: str = "2026-01-01") -> Schedule:
    return make_schedule("nightly", cron=cron, timezone=timezone, job=JOB, now=at(made))


def test_next_tick__is_by_the_schedules_own_clock() -> None:
    assert schedule().next_tick(at("2026-07-01 12:00")) == at(
        "2026-07-02 00:00"
    )  # summer: two hours ahead of UTC
    assert schedule().next_tick(at("2026-12-01 12:00")) == at("2026-12-02 01:00")
    assert schedule(timezone="UTC").next_tick(at("2026-12-01 02:00")) == at("2026-12-02 02:00")


def test_next_tick__a_time_that_daylight_saving_skips_or_repeats_happens_once() -> None:
    nightly = schedule("30 2 * * *")
    in_spring, in_autumn = at("2026-03-28 12:00"), at("2026-10-24 12:00")
    for start in (in_spring, in_autumn):
        ticks = []
        tick = nightly.next_tick(start)
        while tick is not None and tick < start + timedelta(days=2):
            ticks.append(tick)
            tick = nightly.next_tick(tick)
        assert len(ticks) == 2, ticks


def test_next_tick__of_a_day_that_never_comes() -> None:
    assert schedule("0 2 29 2 *").next_tick(at("2026-03-01")) == at("2028-02-29 01:00")


def test_due__is_the_latest_tick_that_nobody_has_seen_to() -> None:
    nightly = schedule(timezone="UTC")
    before = at("2026-05-01 02:00")
    assert nightly.due(since=before, now=at("2026-05-02 01:59")) is None
    assert nightly.due(since=before, now=at("2026-05-02 02:00")) == at("2026-05-02 02:00")
    assert nightly.due(since=at("2026-05-02 02:00"), now=at("2026-05-02 02:01")) is None


def test_due__makes_up_for_one_missed_tick_and_not_for_an_old_one() -> None:
    nightly = schedule(timezone="UTC")
    last = at("2026-05-01 02:00")
    assert nightly.due(since=last, now=at("2026-05-04 07:59")) == at("2026-05-04 02:00")
    assert nightly.due(since=last, now=at("2026-05-04 08:01")) is None


def test_due__not_before_the_schedule_was_made() -> None:
    nightly = schedule(timezone="UTC", made="2026-05-01 03:00")
    assert nightly.due(since=at("2026-04-01"), now=at("2026-05-01 03:01")) is None


def test_due__every_minute_after_a_pause_is_one_tick() -> None:
    often = schedule("* * * * *", "UTC")
    assert often.due(since=at("2026-05-01 00:00"), now=at("2026-05-01 05:00")) == at("2026-05-01 05:00")


def test_tick_key__is_the_same_wherever_the_clock_hangs() -> None:
    tick = at("2026-07-02 00:00")
    assert tick_key("nightly", tick) == "schedule:nightly:2026-07-02T00:00Z"
    assert tick_key("nightly", tick.astimezone()) == tick_key("nightly", tick)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"cron": "0 2 * *"}, "cron: '0 2 * *' is no cron expression"),
        ({"cron": "0 0 2 * * *"}, "cron: '0 0 2 * * *' is no cron expression"),
        ({"cron": "61 2 * * *"}, "cron: '61 2 * * *' is no cron expression"),
        ({"timezone": "Mars/Base"}, "timezone: 'Mars/Base' is no time zone"),
        ({"timezone": "../../etc/passwd"}, "timezone: '../../etc/passwd' is no time zone"),
        ({"timezone": ""}, "timezone: '' is no time zone"),
        ({"name": "a/b"}, "name: should be 1 to 100"),
        ({"job": {**JOB, "seed": -1}}, "seed: "),
        ({"priority": "urgent"}, "priority: should be one of high, normal, low"),
    ],
)
def test_make_schedule__refuses_with_place_value_and_choices(change: dict[str, Any], says: str) -> None:
    given = {"name": "nightly", "cron": "0 2 * * *", "timezone": "UTC", "job": JOB, **change}
    with pytest.raises(JobRejected) as refused:
        make_schedule(given.pop("name"), **given)
    assert str(refused.value).startswith(says)
    assert "\n" not in str(refused.value)


def test_schedule__a_newer_format_is_refused() -> None:
    newer = schedule().model_dump(mode="json") | {"format_version": 2}
    with pytest.raises(ValueError, match="format_version"):
        Schedule.model_validate(newer)
