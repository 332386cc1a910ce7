"""Objects that the bucket will soon delete: what its rules say, and what a job makes of it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.photos import jpeg
from tests.servers import S3Server
from tests.worker.runs import artefact, job, prepared, select
from worker.check import forecast
from worker.errors import JobRejected
from worker.events import Events
from worker.intake.seen import remember, seen_set
from worker.runner import Made, run
from worker.storage.lifecycle import expiry_rules
from worker.storage.local import LocalStore
from worker.storage.store import ExpiryRule, ObjectInfo

NIGHT = datetime(2026, 11, 27, 2, 30, tzinfo=UTC)


def info(key: str = "a.jpg", size: int = 1000, modified_at: datetime = NIGHT) -> ObjectInfo:
    return ObjectInfo(key, "etag", size, modified_at)


def test_rule__days_end_at_the_next_midnight() -> None:
    rule = ExpiryRule("", 7, None)
    assert rule.expires_at(info()) == datetime(2026, 12, 5, tzinfo=UTC)
    midnight = info(modified_at=datetime(2026, 11, 27, tzinfo=UTC))
    assert rule.expires_at(midnight) == datetime(2026, 12, 4, tzinfo=UTC)


def test_rule__prefix_and_sizes_exclude_their_bounds() -> None:
    rule = ExpiryRule("cam/", None, NIGHT, larger_than=10, smaller_than=20)
    found = {
        (key, size): rule.expires_at(info(key, size)) is not None
        for key, size in (("cam/a", 11), ("cam/a", 19), ("cam/a", 10), ("cam/a", 20), ("other", 15))
    }
    assert [size for (_, size), fits in found.items() if fits] == [11, 19]


def test_expiry_rules__are_relative_to_the_prefix_and_leave_out_what_deletes_nothing() -> None:
    days = {"Expiration": {"Days": 3}, "Status": "Enabled"}
    found = expiry_rules(
        [
            {**days, "Filter": {"Prefix": "rec/cam/"}},
            {**days, "Prefix": "re"},
            {**days, "Filter": {"Prefix": "other/"}},
            {**days, "Status": "Disabled", "Filter": {}},
            {"Status": "Enabled", "Filter": {}, "Expiration": {"ExpiredObjectDeleteMarker": True}},
            {"Status": "Enabled", "Filter": {}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}},
            {**days, "Filter": {"And": {"Prefix": "rec/", "Tags": [], "ObjectSizeGreaterThan": 5}}},
            {**days, "Filter": {"Tag": {"Key": "raw", "Value": "1"}}},
        ],
        below="rec/",
    )
    assert [(rule.prefix, rule.larger_than) for rule in found] == [("cam/", -1), ("", -1), ("", 5), ("", -1)]


def test_local__never_expires(tmp_path: Path) -> None:
    assert LocalStore(tmp_path).expiry_rules() == ()


@pytest.fixture
def bucket(moto: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Any, str]:
    """A bucket whose objects below `old/` live for 2 days, and all others for 30; its client."""
    for name, value in moto.environment().items():
        monkeypatch.setenv(name, value)
    name = moto.make_bucket(f"expiring-{abs(hash(str(tmp_path))) % 10**8}")
    client = boto3.client(
        "s3",
        endpoint_url=moto.url,
        aws_access_key_id=moto.access_key,
        aws_secret_access_key=moto.secret_key,
        region_name=moto.region,
    )
    for number in range(4):
        client.put_object(Bucket=name, Key=f"rec/old/{number}.jpg", Body=jpeg(number))
        client.put_object(Bucket=name, Key=f"rec/new/{number}.jpg", Body=jpeg(10 + number))
    return client, name


def rules(client: Any, bucket: str, *rules: dict[str, Any]) -> None:
    given = [{"ID": str(row), "Status": "Enabled", **rule} for row, rule in enumerate(rules)]
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": given})


OLD = {"Filter": {"Prefix": "rec/old/"}, "Expiration": {"Days": 2}}
ALL = {"Filter": {"Prefix": ""}, "Expiration": {"Days": 30}}


def text(bucket: str, out: Path, days: float, strategy: str, **changes: Any) -> dict[str, Any]:
    document = job(f"s3://{bucket}/rec/", out, **changes)
    document["datasource"]["input_expiration"] = {
        "min_days_to_expiration": days,
        "handling_strategy": strategy,
    }
    return document


def skipped(made: Made) -> list[tuple[str, str]]:
    return [(one["source"], one["reason"]) for one in json.loads(artefact(made, "skipped.json"))]


def test_skip__leaves_expiring_objects_out_and_says_when(bucket: tuple[Any, str], tmp_path: Path) -> None:
    client, name = bucket
    rules(client, name, OLD, ALL)
    ready = prepared(text(name, tmp_path / "out", 5, "SKIP"))
    made = select(ready)
    assert skipped(made) == [(f"old/{number}.jpg", "expiring") for number in range(4)]
    first = json.loads(artefact(made, "skipped.json"))[0]["detail"]
    end = (datetime.now(UTC) + timedelta(days=3)).date()
    assert first.startswith(f"expires {end} 00:00 UTC, 2.")
    counts = made.findings.counts
    assert (counts.listed, counts.skipped, counts.read) == (8, {"expiring": 4}, 4)
    assert ready.source.usage.requests["GET"] == 4 + 1  # the four that stay, and the rules
    again = select(prepared(text(name, tmp_path / "out", 5, "SKIP")))
    assert again.plan == made.plan


def test_abort__names_how_many_and_the_first(bucket: tuple[Any, str], tmp_path: Path) -> None:
    client, name = bucket
    rules(client, name, OLD, ALL)
    says = rf"datasource\.input_expiration: 4 images of s3://{name}/rec/ expire within 5 days, the first of them 'old/0\.jpg' \(expires 20"
    with pytest.raises(JobRejected, match=says):
        select(prepared(text(name, tmp_path / "out", 5, "ABORT")))
    with pytest.raises(JobRejected, match="4 images"):
        forecast(prepared(text(name, tmp_path / "out", 5, "ABORT")))
    assert not (tmp_path / "out").exists()


def test_abort__goes_on_where_everything_lives_long_enough(bucket: tuple[Any, str], tmp_path: Path) -> None:
    client, name = bucket
    rules(client, name, OLD, ALL)
    assert forecast(prepared(text(name, tmp_path / "out", 1, "ABORT"))).sources == 8


def test_skip__everything_expiring_is_refused(bucket: tuple[Any, str], tmp_path: Path) -> None:
    client, name = bucket
    rules(client, name, OLD, ALL)
    with pytest.raises(JobRejected, match=r"all 8 images to look at expire within 60 days, the first"):
        select(prepared(text(name, tmp_path / "out", 60, "SKIP")))


def test_skip__a_rule_for_tags_counts_as_applying(bucket: tuple[Any, str], tmp_path: Path) -> None:
    client, name = bucket
    tagged = {"And": {"Prefix": "rec/new/", "Tags": [{"Key": "raw", "Value": "1"}]}}
    rules(client, name, {"Filter": tagged, "Expiration": {"Days": 1}})
    assert forecast(prepared(text(name, tmp_path / "out", 5, "SKIP"))).expiring == 4


def test_date__expires_all_at_once(bucket: tuple[Any, str], tmp_path: Path) -> None:
    client, name = bucket
    day = (datetime.now(UTC) + timedelta(days=3)).replace(hour=0, minute=0, second=0, microsecond=0)
    rules(client, name, {"Filter": {"Prefix": "rec/new/"}, "Expiration": {"Date": day}})
    assert forecast(prepared(text(name, tmp_path / "out", 5, "SKIP"))).expiring == 4
    assert forecast(prepared(text(name, tmp_path / "out", 1, "SKIP"))).expiring == 0


def test_no_rules__nothing_expires(bucket: tuple[Any, str], tmp_path: Path) -> None:
    _, name = bucket
    assert forecast(prepared(text(name, tmp_path / "out", 5, "ABORT"))).sources == 8


def test_without_the_block__no_rule_is_asked_for(bucket: tuple[Any, str], tmp_path: Path) -> None:
    client, name = bucket
    rules(client, name, OLD)
    ready = prepared(job(f"s3://{name}/rec/", tmp_path / "out"))
    assert forecast(ready).sources == 8
    assert ready.source.usage.requests == {"LIST": 1}


def test_a_server_that_does_not_say_is_refused(
    nanio: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in nanio.environment().items():
        monkeypatch.setenv(name, value)
    name = nanio.make_bucket("silent")
    with pytest.raises(
        JobRejected, match=r"input_expiration: the server does not say when objects expire \(s3://silent/rec/"
    ):
        forecast(prepared(text(name, tmp_path / "out", 5, "SKIP")))


def test_new__an_expiring_object_is_not_finished_with(bucket: tuple[Any, str], tmp_path: Path) -> None:
    client, name = bucket
    rules(client, name, OLD, ALL)
    document = text(name, tmp_path / "out", 5, "SKIP")
    document["datasource"]["process"] = "new"
    ready = prepared(document)
    made = select(ready)
    assert made.findings.counts.skipped == {"expiring": 4}
    remember(made.results, made.plan, seen_set(ready.job, ready.source))
    made.results.close("done")
    outcome = run(prepared(document), Events())
    assert outcome.nothing_new
    assert (outcome.counts.listed, outcome.counts.earlier, outcome.counts.skipped) == (8, 4, {"expiring": 4})
    left_out = json.loads((tmp_path / "out/night" / outcome.job_id / "skipped.json").read_text())
    assert [one["reason"] for one in left_out] == ["expiring"] * 4
    rules(client, name, ALL)  # the rule is gone, so what was left out is new
    later = select(prepared(document))
    assert [source.key for chunk in later.plan.chunks for source in chunk.sources] == [
        f"old/{number}.jpg" for number in range(4)
    ]
