"""The alert rules fire when they should, the one at 06:00 in summer and in winter; every metric that they and the dashboard name exists."""

import json
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml

from tests.deploy.files import DEPLOY, metrics_in
from tests.tools import tool

BERLIN = ZoneInfo("Europe/Berlin")
PROMETHEUS = DEPLOY / "prometheus"
DASHBOARD = DEPLOY / "grafana" / "framesift.json"

GAUGES = {
    "framesift_queue_messages": {"queue"},
    "framesift_queue_running": {"queue"},
    "framesift_queue_work": {"queue"},
    "framesift_jobs": {"state"},
    "framesift_workers": {"queue"},
    "framesift_gpu_memory_bytes": {"worker", "kind"},
    "framesift_schedule_last_done_timestamp_seconds": {"schedule"},
    "framesift_schedule_last_due_timestamp_seconds": {"schedule"},
    "framesift_reconcile_timestamp_seconds": set(),
    "framesift_redis_up": set(),
}
COUNTERS = {
    "framesift_chunks_done_total": set(),
    "framesift_sources_done_total": set(),
    "framesift_sources_skipped_total": {"reason"},
    "framesift_steps_failed_total": {"step"},
    "framesift_steps_requeued_total": set(),
    "framesift_bytes_read_total": set(),
    "framesift_bytes_written_total": set(),
}
HISTOGRAM = {f"framesift_step_seconds_{part}": {"step"} for part in ("sum", "count")} | {
    "framesift_step_seconds_bucket": {"step", "le"}
}
METRICS = GAUGES | COUNTERS | HISTOGRAM


def rules() -> dict[str, dict[str, str]]:
    """Return each rule by the name of what it records or of its alert."""
    groups = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"]
    return {rule.get("record") or rule["alert"]: rule for group in groups for rule in group["rules"]}


def panels() -> list[dict[str, object]]:
    return json.loads(DASHBOARD.read_text())["panels"]


def expressions() -> list[str]:
    """Return everything that Prometheus is asked: by the rules, the dashboard and KEDA."""
    scaled = [path.read_text() for path in DEPLOY.rglob("*.yaml")]
    queries = [
        line.split(":", 1)[1]
        for text in scaled
        for line in text.splitlines()
        if line.strip().startswith("query:")
    ]
    charts = [target["expr"] for panel in panels() for target in panel.get("targets", [])]
    return [str(rule["expr"]) for rule in rules().values()] + queries + charts


def promtool(*arguments: object) -> str:
    done = subprocess.run(
        [tool("promtool", debian="prometheus"), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def asked(questions: list[tuple[str, datetime, float]], folder: Path) -> None:
    """Have promtool assert that each expression has this one value at this time."""
    tests = [
        {
            "expr": expression,
            "eval_time": f"{int(when.timestamp())}s",
            "exp_samples": [{"labels": "{}", "value": value}],
        }
        for expression, when, value in questions
    ]
    suite = {"evaluation_interval": "10000d", "tests": [{"interval": "10000d", "promql_expr_test": tests}]}
    file = folder / "questions.yml"
    file.write_text(yaml.safe_dump(suite))
    promtool("test", "rules", file)


def test_rules__say_what_prometheus_understands_and_fire_as_their_tests_say() -> None:
    promtool("check", "config", PROMETHEUS / "prometheus.yml")
    promtool("test", "rules", PROMETHEUS / "tests.yml")


def test_offset__is_that_of_berlin_on_every_day_of_ten_years(tmp_path: Path) -> None:
    noons = [datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(days=day) for day in range(3653)]
    offset = rules()["framesift:local_offset_seconds"]["expr"]
    asked([(offset, noon, noon.astimezone(BERLIN).utcoffset().total_seconds()) for noon in noons], tmp_path)


@pytest.mark.parametrize(
    ("due", "deadline"),
    [
        ("2026-01-15T02:00", "2026-01-15T06:00"),
        ("2026-07-15T02:00", "2026-07-15T06:00"),
        ("2026-07-14T22:00", "2026-07-15T06:00"),
        ("2026-03-29T01:30", "2026-03-29T06:00"),  # at 02:00 it becomes 03:00
        ("2026-10-25T01:30", "2026-10-25T06:00"),  # at 03:00 it becomes 02:00
        ("2026-07-15T05:59", "2026-07-15T06:00"),
        ("2026-07-15T06:00", "2026-07-16T06:00"),
    ],
)
def test_deadline__is_the_next_six_o_clock_in_berlin(due: str, deadline: str, tmp_path: Path) -> None:
    was_due, until = (datetime.fromisoformat(text).replace(tzinfo=BERLIN) for text in (due, deadline))
    known = rules()
    expression = known["framesift:schedule_deadline_timestamp_seconds"]["expr"]
    expression = expression.replace(
        "framesift:local_offset_seconds", f"({known['framesift:local_offset_seconds']['expr']})"
    )
    expression = expression.replace(
        "framesift_schedule_last_due_timestamp_seconds", f"vector({was_due.timestamp()})"
    )
    asked([(expression, until, until.timestamp())], tmp_path)


def test_expressions__name_metrics_that_exist() -> None:
    recorded = {name for name in rules() if ":" in name}
    for expression in expressions():
        assert metrics_in(expression) <= METRICS.keys() | recorded, expression


def test_expressions__ask_for_labels_that_the_metrics_have() -> None:
    for expression in expressions():
        for metric, matchers in re.findall(r"(framesift_\w+)\{([^}]*)\}", expression):
            asked_for = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
            assert asked_for <= METRICS[metric], expression
        for labels in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression):
            given = set().union(*(METRICS.get(name, {"schedule"}) for name in metrics_in(expression)))
            assert {label.strip() for label in labels.split(",") if label.strip()} <= given, expression


def test_counters__are_asked_for_their_increase() -> None:
    for expression in expressions():
        for name in metrics_in(expression) & (COUNTERS.keys() | HISTOGRAM.keys()):
            uses = len(re.findall(rf"\b{name}\b", expression))
            ranged = len(re.findall(rf"(?:rate|increase)\({name}(?:\{{[^}}]*\}})?\[", expression))
            assert uses == ranged, expression


def test_dashboard__shows_what_is_promised_on_panels_that_do_not_overlap() -> None:
    shown = set().union(
        *(metrics_in(target["expr"]) for panel in panels() for target in panel.get("targets", []))
    )
    assert {
        "framesift_queue_messages",
        "framesift_queue_running",
        "framesift_jobs",
        "framesift_workers",
        "framesift_step_seconds_bucket",
        "framesift_sources_done_total",
        "framesift_sources_skipped_total",
        "framesift_gpu_memory_bytes",
        "framesift_bytes_read_total",
        "framesift_bytes_written_total",
    } <= shown
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_alerts__say_how_bad_it_is_and_what_it_means() -> None:
    for name, rule in rules().items():
        if "alert" in rule:
            assert rule["labels"]["severity"] in {"page", "warning"}, name
            assert rule["annotations"]["summary"], name
