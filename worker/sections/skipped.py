"""What could not be used, and why."""

from typing import ClassVar, Literal

from worker.blocks import Block, Table, Text
from worker.facts import Facts
from worker.rendering.text import count, plural, shortened
from worker.section import Pictures, Section


class Skipped(Section):
    """Sources left out, by reason, with examples."""

    type: Literal["skipped"] = "skipped"
    title: ClassVar[str] = "Sources left out"
    order: ClassVar[int] = 100

    def blocks(self, facts: Facts, pictures: Pictures) -> tuple[Block, ...]:
        """Return the reasons and some examples; nothing where nothing was skipped."""
        del pictures
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


def _words(reason: str) -> str:
    return reason.replace("_", " ")
