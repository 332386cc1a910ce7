"""Target distributions: what was asked for, what was possible, what came of it, and why not more."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from worker.blocks import Block, Figure, Table, Text
from worker.facts import BalanceClass, BalanceFacts, BudgetCurve, Facts, UnmetReason
from worker.rendering.shares import shares
from worker.rendering.text import count, percent, plural, quantity, shortened
from worker.section import Pictures, Section

_SHOWN = 16
_WHY: dict[UnmetReason, str] = {
    "impossible": "impossible in the input",
    "trade_off": "trade-off",
    "too_few_samples": "too few samples",
}


class Balance(Section):
    """One drawing and one table a balance strategy."""

    type: Literal["balance"] = "balance"
    title: ClassVar[str] = "Target distributions"
    order: ClassVar[int] = 64

    def blocks(self, facts: Facts, pictures: Pictures) -> tuple[Block, ...]:
        """Return the targets, and what the three reasons mean where one applies."""
        del pictures
        found = facts.analysis.balances
        if not found or not any(one.picks for one in found):
            return ()
        met = [block for one in found for block in _one(one, facts.analysis.budgets)]
        reasons = {reason for one in found for each in one.classes for reason in each.reasons}
        return (*met, *((Text(_legend(found, reasons), muted=True),) if reasons else ()))


def _one(found: BalanceFacts, curve: BudgetCurve | None) -> tuple[Block, ...]:
    shown = _most_off(found.classes)
    rest = len(found.classes) - len(shown)
    drawn = f" The {count(len(shown))} classes that are farthest off; report.json has all." if rest else ""
    return (
        Text(_sentence(found, curve)),
        Figure(
            media_type="image/svg+xml",
            body=shares(shown),
            alt=f"Bar chart of the shares of {plural(len(shown), 'class', 'classes')}: "
            + "; ".join(
                f"{shortened(one.name, 40)} {percent(one.achieved)} of {percent(one.requested)} requested"
                for one in shown
            )
            + ".",
            caption=f"{shortened(found.strategy, 80).capitalize()}: achieved share, requested share and "
            + (
                "the best that can be reached together."
                if found.joint
                else "what each class could reach alone."
            )
            + drawn,
            data="analysis.balances",
        ),
        Table(
            caption=f"Shares by class.{drawn}",
            columns=("Class", "Candidates", "Requested", "Achievable", "Achieved", "If off, why"),
            rows=tuple(_row(one) for one in shown),
            numeric=(1, 2, 3, 4),
        ),
    )


def _sentence(found: BalanceFacts, curve: BudgetCurve | None) -> str:
    unmet = sum(1 for one in found.classes if one.reasons)
    name = shortened(found.strategy, 80).capitalize()
    parts = [
        f"{name}: {count(len(found.classes) - unmet)} of {plural(len(found.classes), 'class', 'classes')} "
        f"within 5 % of the requested share.",
        f"{percent(found.misplaced)} of the samples are in a class too many",
    ]
    if found.misplaced_at_best is not None:
        parts[-1] += f", {percent(found.misplaced_at_best)} at best"
    series = (
        []
        if curve is None
        else [one for one in curve.of("misplaced_share") if one.strategy == found.strategy]
    )
    if series:
        low, high = series[0].random_low[-1], series[0].random_high[-1]
        parts[-1] += f", {percent(low)} to {percent(high)} in random draws"
    return " ".join(parts) + "."


def _most_off(classes: Sequence[BalanceClass]) -> list[BalanceClass]:
    """Return at most _SHOWN classes, the ones farthest from their request, in the order of the target."""
    order = sorted(
        range(len(classes)), key=lambda at: -abs((classes[at].achieved or 0) - classes[at].requested)
    )
    return [classes[at] for at in sorted(order[:_SHOWN])]


def _row(one: BalanceClass) -> tuple[str, ...]:
    return (
        shortened(one.name, 60),
        count(int(one.candidates)) if one.candidates.is_integer() else quantity(one.candidates),
        percent(one.requested),
        percent(one.achievable),
        percent(one.achieved),
        " and ".join(_WHY[reason] for reason in one.reasons) or "as requested",
    )


def _legend(found: Sequence[BalanceFacts], reasons: set[UnmetReason]) -> str:
    bound = any(not one.joint for one in found)
    meaning = {
        "impossible": "Impossible in the input: the candidates hold too few samples of a class for this many picks, so its "
        "share goes to others.",
        "trade_off": "Trade-off: the candidates would have allowed more, and another strategy or rule had its way. A larger "
        "strength of the balance moves it, unless a quota, a group or a stop holds it.",
        "too_few_samples": "Too few samples: whole samples cannot come nearer to the requested share with this many picks.",
    }
    parts = [text for reason, text in meaning.items() if reason in reasons]
    if bound:
        parts.append(
            "Where samples belong to several classes, achievable is what a class could reach if nothing else mattered, so "
            "a trade-off may also be one between classes."
        )
    return " ".join(parts)
