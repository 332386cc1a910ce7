"""How much each further pick added."""

from typing import ClassVar, Literal

from worker.blocks import Block, Figure, Figures, Table, Text
from worker.facts import BudgetCurve, BudgetSeries, Facts, SeriesName
from worker.rendering import curves
from worker.rendering.text import count, distance, percent, plural, quantity, shortened
from worker.section import Pictures, Section

_FEWEST = 5
_LABELS: dict[SeriesName, str] = {
    "coverage_mean": "Mean",
    "coverage_p95": "95th percentile",
    "coverage_max": "Largest",
    "diversity_mean": "Mean",
    "diversity_min": "Smallest",
}


class Budget(Section):
    """Coverage, diversity and what the strategies want, over the number of picks."""

    type: Literal["budget"] = "budget"
    title: ClassVar[str] = "What fewer picks would have given"
    order: ClassVar[int] = 66

    def blocks(self, facts: Facts, pictures: Pictures) -> tuple[Block, ...]:
        """Return the sentence, the curves and some numbers; nothing below a handful of picks."""
        del pictures
        curve = facts.analysis.budgets
        if curve is None or curve.budgets[-1] < _FEWEST:
            return ()
        covering = [(_LABELS[name], curve.of(name)[0]) for name in _LABELS if name.startswith("coverage")]
        wide = Figure(
            media_type="image/svg+xml",
            body=curves.wide(curve, covering, label="Coverage distance"),
            alt=f"Line chart over the number of picks: the mean coverage distance falls to "
            f"{distance(covering[0][1].selected[-1])}; random picks end at "
            f"{distance(covering[0][1].random_mean[-1])}.",
            caption="Distance from an input sample to its closest pick, after the first picks of this selection (blue) "
            "and of random draws (orange: mean, and the band of 95 % of them). Lower is better.",
            data="analysis.budgets",
        )
        return (
            Text(_sentence(curve)),
            wide,
            Figures(tuple(_small(curve))),
            _table(curve),
            Text(_how(curve, with_datapool=facts.counts.preselected > 0), muted=True),
        )


def _sentence(curve: BudgetCurve) -> str:
    (mean,) = curve.of("coverage_mean")
    picks, last = curve.budgets[-1], len(curve.budgets) - 1
    half = min(range(last + 1), key=lambda at: (abs(2 * curve.budgets[at] - picks), at))
    gained = _gained(mean, half)
    parts = []
    if gained is not None and curve.mostly_covered is not None:
        parts.append(
            f"After the first pick, the others bring the mean coverage distance from {distance(mean.selected[0])} down to "
            f"{distance(mean.selected[-1])}. The first {plural(curve.budgets[half], 'pick')} of {count(picks)} already "
            f"do {percent(gained)} of that; 90 % take {count(curve.mostly_covered)}."
        )
        parts.append(
            "From there on the curve is flat: further picks add little to the average input sample."
            if curve.mostly_covered <= 0.7 * picks
            else "The curve is still falling, so more picks would cover more."
        )
    if curve.like_random_largest is not None:
        parts.append(
            f"For the input sample that is covered worst, {plural(curve.like_random_largest, 'pick')} of this selection "
            f"do as well as {count(picks)} random ones."
        )
    parts.append(
        f"{plural(curve.like_random, 'pick')} of this selection cover the input on average as well as {count(picks)} "
        "random ones."
        if curve.like_random is not None
        else f"On average, {count(picks)} random picks cover the input better than this selection."
    )
    return " ".join(parts)


def _gained(mean: BudgetSeries, at: int) -> float | None:
    first, here, last = mean.selected[0], mean.selected[at], mean.selected[-1]
    if first is None or here is None or last is None or first <= last:
        return None
    return min(1.0, max(0.0, (first - here) / (first - last)))


def _small(curve: BudgetCurve) -> list[Figure]:
    covered = [(f"within {one.radius:g}", one) for one in curve.of("covered_share")]
    inside = [(_LABELS[name], curve.of(name)[0]) for name in _LABELS if name.startswith("diversity")]
    figures = []
    if covered:
        body = curves.narrow(curve, covered, label="Share of the input", share=True)
        figures.append(
            _figure(body, "Input samples with a pick within a distance. Higher is better.", covered)
        )
    if any(value is not None for value in inside[0][1].selected):
        body = curves.narrow(curve, inside, label="Distance")
        figures.append(_figure(body, "Diversity: distance from a pick to its closest other pick.", inside))
    for one in curve.of("misplaced_share"):
        body = curves.narrow(curve, [("", one)], label="Share of the picks", share=True)
        name = shortened(one.strategy or "", 60)
        figures.append(_figure(body, f"{name}: picks in a class too many. Lower is better.", [(name, one)]))
    for one in curve.of("weights_sum"):
        body = curves.narrow(curve, [("", one)], label="Sum")
        name = shortened(one.strategy or "", 60)
        figures.append(_figure(body, f"{name}: sum over the picks.", [(name, one)]))
    return figures


def _figure(body: bytes, caption: str, series: list[tuple[str, BudgetSeries]]) -> Figure:
    spoken = ", ".join(
        f"{name} ends at {quantity(one.selected[-1])}, random at {quantity(one.random_mean[-1])}"
        for name, one in series
    )
    return Figure(
        media_type="image/svg+xml",
        body=body,
        alt=f"Line chart over the number of picks: {spoken}.",
        caption=caption[0].upper() + caption[1:],
        data="",
        width="half",
    )


def _table(curve: BudgetCurve) -> Table:
    (mean,), (largest,), (smallest,) = (
        curve.of(name) for name in ("coverage_mean", "coverage_max", "diversity_min")
    )
    shown = sorted({_nearest(curve, share) for share in (0.1, 0.25, 0.5, 0.75, 1.0)})
    return Table(
        caption="Coverage distance and the smallest distance between two picks, at some budgets.",
        columns=("Picks", "Mean", "Random", "Largest", "Random", "Smallest", "Random"),
        rows=tuple(
            (
                count(curve.budgets[at]),
                *(
                    cell
                    for one in (mean, largest, smallest)
                    for cell in (distance(one.selected[at]), _band(one, at))
                ),
            )
            for at in shown
        ),
        numeric=(1, 2, 3, 4, 5, 6),
    )


def _band(one: BudgetSeries, at: int) -> str:
    low, high = one.random_low[at], one.random_high[at]
    return "n/a" if low is None or high is None else f"{distance(low)} to {distance(high)}"


def _nearest(curve: BudgetCurve, share: float) -> int:
    wanted = share * curve.budgets[-1]
    return min(range(len(curve.budgets)), key=lambda at: (abs(curve.budgets[at] - wanted), at))


def _how(curve: BudgetCurve, *, with_datapool: bool) -> str:
    text = (
        "The first picks of a selection are a selection: without quotas, groups, sequences, gaps and ranges of sums the very one that a "
        f"smaller budget gives. Random: {curve.draws} draws, each cut after as many samples; band: the middle 95 % of them."
    )
    if with_datapool:
        text += " Every number is of the first picks together with the datapool, which the first pick already joins."
    if curve.measured_rows < curve.input_rows:
        text += (
            f" All curves, those of the selection too, are measured on a seeded sample of "
            f"{count(curve.measured_rows)} of {count(curve.input_rows)} input samples."
        )
    if curve.measured_picks < curve.budgets[-1]:
        text += f" Diversity is measured on {count(curve.measured_picks)} of the picks."
    return text
