"""Requested, achieved and achievable shares of classes."""

from collections.abc import Sequence

from matplotlib.ticker import PercentFormatter

from jobs.visible import visible
from worker.facts import BalanceClass
from worker.rendering import palette
from worker.rendering.canvas import drawing, svg
from worker.rendering.figures import FULL_MM
from worker.rendering.text import shortened

_LABEL_LIMIT = 28


def shares(classes: Sequence[BalanceClass]) -> bytes:
    """Draw a bar a class for what was achieved, a line for what was requested, a ring for what was achievable."""
    with drawing(FULL_MM, 20 + 6.5 * len(classes)) as (figure, axes):
        places = range(len(classes) - 1, -1, -1)
        axes.barh(
            places,
            [one.achieved or 0 for one in classes],
            height=0.56,
            color=palette.SELECTED,
            alpha=0.85,
            label="Achieved",
        )
        axes.vlines(
            [one.requested for one in classes],
            [place - 0.42 for place in places],
            [place + 0.42 for place in places],
            color=palette.RANDOM,
            linewidth=2.2,
            label="Requested",
        )
        axes.plot(
            [one.achievable for one in classes],
            list(places),
            "o",
            markersize=6,
            markerfacecolor="none",
            markeredgecolor=palette.INK,
            markeredgewidth=1.1,
            label="Achievable",
            clip_on=False,
        )
        axes.set_yticks(list(places), [shortened(visible(one.name), _LABEL_LIMIT) for one in classes])
        axes.set_ylim(-0.7, len(classes) - 0.3)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        axes.set_xlabel("Share of what is kept")
        axes.tick_params(axis="y", labelcolor=palette.INK)
        axes.grid(visible=True, axis="x")
        figure.legend(loc="outside upper left", ncols=3)
        return svg(figure)
