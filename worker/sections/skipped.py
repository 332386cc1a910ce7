"""What could not be used, and why."""

from typing import ClassVar, Literal

from worker.blocks import Block, Table, Text
from worker.facts import Facts
from worker.rendering.text import count, percent, plural, shortened
from worker.section import Pictures, Section


class Skipped(Section):
    """Sources left out, by reason, with examples; and frames that were not worth embedding."""

    type: Literal["skipped"] = "skipped"
    title: ClassVar[str] = "What was left out"
    order: ClassVar[int] = 100

    def blocks(self, facts: Facts, pictures: Pictures) -> tuple[Block, ...]:
        """Return the reasons and some examples; nothing where nothing was left out."""
        del pictures
        return (*_sources(facts), *_damaged(facts), *_near_identical(facts))


def _sources(facts: Facts) -> tuple[Block, ...]:
    skipped = {reason: number for reason, number in facts.counts.skipped.items() if number}
    if not skipped:
        return ()
    reasons = sorted(skipped, key=lambda reason: (-skipped[reason], reason))
    return (
        Text(f"{plural(sum(skipped.values()), 'source')} left out; skipped.json lists all of them."),
        Table(
            caption="Sources by reason.",
            columns=("Reason", "Sources"),
            rows=tuple((_words(reason), count(skipped[reason])) for reason in reasons),
            numeric=(1,),
        ),
        Table(
            caption="Examples.",
            columns=("Source", "Reason", "Detail"),
            rows=tuple(
                (shortened(one.source, 90), _words(one.reason), shortened(one.detail, 160))
                for one in facts.skipped_examples
            ),
        ),
    )


def _damaged(facts: Facts) -> tuple[Block, ...]:
    damaged = facts.counts.damaged
    if not damaged:
        return ()
    return (
        Text(
            f"{plural(damaged, 'source')} read in part: what could be decoded was kept; skipped.json says what is missing."
        ),
    )


def _near_identical(facts: Facts) -> tuple[Block, ...]:
    frames = facts.counts.near_identical
    if not frames:
        return ()
    sampled = facts.videos.totals.counts.sampled if facts.videos else facts.counts.samples
    left_out = plural(frames, "frame was", "frames were")
    return (
        Text(
            f"{left_out} near identical to the one kept before and not embedded: {percent(frames / sampled)} of the "
            "sampled frames."
        ),
    )


def _words(reason: str) -> str:
    return reason.replace("_", " ")
