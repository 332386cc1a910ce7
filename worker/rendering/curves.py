"""Curves over the number of picks, each beside the band of the random draws."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from worker.facts import BudgetCurve, BudgetSeries
from worker.rendering import palette
from worker.rendering.canvas import drawing, svg
from worker.rendering.figures import FULL_MM, HALF_MM

_STYLES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)))


def wide(curve: BudgetCurve, series: Sequence[tuple[str, BudgetSeries]], *, label: str) -> bytes:
    """Draw labelled numbers over the budgets across the page, and where the selection equals all random picks."""
    with drawing(FULL_MM, 76) as (figure, axes):
        _lines(axes, curve, series)
        if curve.like_random is not None and curve.like_random < curve.budgets[-1]:
            axes.axvline(curve.like_random, color=palette.MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
            right = curve.like_random < 0.55 * curve.budgets[-1]
            axes.annotate(
                f"{curve.like_random:,} picks: mean as of {curve.budgets[-1]:,} random ones",
                (curve.like_random, 1),
                xycoords=("data", "axes fraction"),
                xytext=(4 if right else -4, -3),
                textcoords="offset points",
                ha="left" if right else "right",
                va="top",
                color=palette.MUTED,
            )
        axes.set_ylabel(label)
        figure.legend(loc="outside upper left", ncols=5, handlelength=2.2)
        return svg(figure)


def narrow(
    curve: BudgetCurve, series: Sequence[tuple[str, BudgetSeries]], *, label: str, share: bool = False
) -> bytes:
    """Draw labelled numbers over the budgets in half the width; `share` as percentages."""
    with drawing(HALF_MM, 52) as (figure, axes):
        _lines(axes, curve, series)
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        if share:
            axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        if len(series) > 1:
            axes.legend(handlelength=2.2, fontsize=7)
        return svg(figure)


def _lines(axes: Axes, curve: BudgetCurve, series: Sequence[tuple[str, BudgetSeries]]) -> None:
    budgets = np.asarray(curve.budgets, np.float64)
    for place, (name, one) in enumerate(series):
        style = _STYLES[place % len(_STYLES)]
        selected, mean, low, high = (
            np.asarray([np.nan if value is None else value for value in values])
            for values in (one.selected, one.random_mean, one.random_low, one.random_high)
        )
        axes.fill_between(budgets, low, high, color=palette.RANDOM, alpha=0.22, linewidth=0)
        axes.plot(budgets, mean, color=palette.RANDOM, linewidth=0.9, linestyle=style)
        axes.plot(budgets, selected, color=palette.SELECTED, linewidth=1.5, linestyle=style, label=name)
        axes.plot(budgets[-1], selected[-1], "o", color=palette.SELECTED, markersize=4.5, clip_on=False)
    axes.set_xlabel("Picks")
    axes.set_xlim(0, float(budgets[-1]) * 1.005)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.grid(visible=True, axis="y")
