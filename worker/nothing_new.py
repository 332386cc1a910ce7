"""The end of a job that found nothing but what earlier jobs have finished with: a result folder without a report."""

from dataclasses import asdict

from worker.events import Events
from worker.facts import Counts
from worker.manifest import Plan
from worker.publish import SELECTED, TEXT, Results
from worker.samples import SkipReason


def close_without_news(results: Results, plan: Plan, events: Events) -> Counts:
    """Write an empty selected.txt, skipped.json with what expires, log.jsonl and a done.json that says `nothing_new`."""
    counts = _counts(plan)
    events.emit("nothing_new", earlier=plan.earlier, ignored=counts.ignored, expiring=len(plan.expiring))
    results.put(SELECTED, b"", media_type=TEXT)
    results.put_json("skipped.json", [asdict(one) for one in plan.left_out])
    results.put("log.jsonl", events.log(), media_type="application/x-ndjson")
    results.close("done", nothing_new=True, counts=counts.model_dump())
    return counts


def _counts(plan: Plan) -> Counts:
    ignored = sum(plan.ignored.values())
    nothing = dict.fromkeys(
        ("read", "samples", "duplicates", "pool", "dropped", "candidates", "asked", "selected"), 0
    )
    expiring = len(plan.expiring)
    return Counts(
        listed=plan.earlier + ignored + expiring,
        ignored=ignored,
        earlier=plan.earlier,
        skipped={SkipReason.EXPIRING.value: expiring} if expiring else {},
        **nothing,
    )
