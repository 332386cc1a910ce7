"""Bounds on the number of picks, and what was kept away from protected samples."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from worker.blocks import Block, Callout, Table, Text
from worker.facts import Facts, QuotaFacts, QuotaValue
from worker.rendering.text import count, plural, shortened
from worker.section import Pictures, Section

_SHOWN = 40


class Quotas(Section):
    """A table a key, and a line for what is protected."""

    type: Literal["quotas"] = "quotas"
    title: ClassVar[str] = "Quotas and protected samples"
    order: ClassVar[int] = 65

    def blocks(self, facts: Facts, pictures: Pictures) -> tuple[Block, ...]:
        """Return shortfalls first; nothing where the job has neither."""
        del pictures
        found = facts.analysis
        quotas = [one for one in found.quotas if one.values]
        blocks: list[Block] = []
        short = [(one.key, value) for one in quotas for value in one.values if value.missing]
        if short:
            named = ", ".join(
                f"{shortened(key, 40)} {shortened(value.value, 40)} ({count(value.missing)} missing)"
                for key, value in short[:10]
            )
            more = f" and {count(len(short) - 10)} more" if len(short) > 10 else ""
            blocks.append(
                Callout("warning", "A quota is not met", f"Fewer picks than asked for: {named}{more}.")
            )
        if quotas:
            blocks.append(Text(_sentence(quotas)))
        if found.protected:
            left_out = plural(found.protected, "sample was", "samples were")
            blocks.append(
                Text(f"{left_out} left out because a protected sample is within the radius of the job.")
            )
        return (*blocks, *(_table(one) for one in quotas))


def _sentence(quotas: Sequence[QuotaFacts]) -> str:
    values = [value for one in quotas for value in one.values]
    least = sum(1 for value in values if value.at_least and not value.missing)
    most = sum(1 for value in values if value.at_most is not None and value.picked == value.at_most)
    with_least, with_most = (
        sum(1 for value in values if value.at_least),
        sum(1 for value in values if value.at_most is not None),
    )
    parts = []
    if with_least:
        parts.append(f"{count(least)} of {plural(with_least, 'value')} with a least number of picks have it.")
    if with_most:
        parts.append(
            f"{count(most)} of {plural(with_most, 'value')} with a largest number of picks are at it: there the quota "
            "may have kept picks out."
        )
    return " ".join(parts)


def _table(one: QuotaFacts) -> Table:
    shown = sorted(one.values, key=lambda value: -value.missing)[:_SHOWN]
    rest = len(one.values) - len(shown)
    more = f" {count(rest)} more values are in report.json." if rest else ""
    return Table(
        caption=f"Picks by {shortened(one.key, 80)}.{more}",
        columns=(shortened(one.key, 40), "Candidates", "At least", "At most", "Picked", "Missing"),
        rows=tuple(_row(value) for value in shown),
        numeric=(1, 2, 3, 4, 5),
    )


def _row(value: QuotaValue) -> tuple[str, ...]:
    return (
        shortened(value.value, 60),
        count(value.candidates),
        count(value.at_least),
        "any" if value.at_most is None else count(value.at_most),
        count(value.picked),
        count(value.missing) if value.missing else "none",
    )
