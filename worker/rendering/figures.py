"""The drawings of the report, each from one part of the facts."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from worker.facts import CategoryFacts, Counts, Curve, Distances, Headline, MeasureFacts, Scatter, StageTime
from worker.rendering import palette
from worker.rendering.canvas import drawing, svg

FULL_MM = 174.0
HALF_MM = 85.0
HEADLINE_LABELS = {
    "diversity_mean": "Diversity, mean",
    "coverage_mean": "Coverage distance, mean",
    "coverage_p95": "Coverage distance, 95th percentile",
    "coverage_max": "Coverage distance, largest",
}


def scatter(facts: Scatter) -> bytes:
    """Draw input, datapool and selected samples on the two main axes of the embedding."""
    with drawing(FULL_MM, 90) as (figure, axes):
        _points(
            axes,
            facts.input,
            colour=palette.INPUT,
            size=5,
            alpha=0.55,
            label=f"Input ({facts.input_total:,})",
        )
        if facts.datapool:
            _points(
                axes,
                facts.datapool,
                colour=palette.DATAPOOL,
                size=float(np.clip(4_000 / (len(facts.datapool) + 1), 6, 20)),
                alpha=0.85,
                label=f"Datapool ({facts.datapool_total:,})",
            )
        _points(
            axes,
            facts.selected,
            colour=palette.SELECTED,
            size=float(np.clip(6_000 / (len(facts.selected) + 1), 6, 26)),
            alpha=0.95,
            label=f"Selected ({facts.selected_total:,})",
            edge=True,
        )
        axes.set_xlabel(f"First principal axis ({facts.explained[0]:.0%} of the variance)")
        axes.set_ylabel(f"Second principal axis ({facts.explained[1]:.0%})")
        axes.grid(visible=True)
        axes.tick_params(length=0)
        axes.margins(0.03)
        legend = figure.legend(loc="outside upper left", ncols=3, handletextpad=0.2)
        for handle in legend.legend_handles:
            if isinstance(handle, PathCollection):
                handle.set_sizes([26.0])
        return svg(figure)


def distances(facts: Distances, label: str) -> bytes:
    """Draw the share of each set's distances in the shared bins."""
    edges = np.asarray(facts.edges)
    with drawing(FULL_MM, 62) as (figure, axes):
        for one in facts.sets:
            if not one.measured:
                continue
            share = np.asarray(one.counts) / one.measured
            colour = palette.OF_SET[one.name]
            filled = one.name in {"input", "selected"}
            if filled:
                axes.stairs(share, edges, fill=True, color=colour, alpha=0.30, linewidth=0)
            axes.stairs(
                share,
                edges,
                color=colour,
                linewidth=1.6,
                linestyle="-" if filled else (0, (4, 1.5)),
                label=palette.LABEL_OF_SET[one.name],
            )
        axes.set_xlabel(label)
        axes.set_ylabel("Share of the set")
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
        axes.grid(visible=True, axis="y")
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(bottom=0)
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside upper left", ncols=5, handlelength=1.6)
        return svg(figure)


def headlines(facts: Sequence[Headline]) -> bytes:
    """Draw each number of the selection as a share of what chance gives, over the band of the random draws."""
    with drawing(FULL_MM, 16 + 10 * len(facts)) as (figure, axes):
        for place, one in enumerate(reversed(facts)):
            scale = one.random_mean or 1.0
            low, high = one.random_low / scale, one.random_high / scale
            axes.plot(
                (low, high),
                (place, place),
                color=palette.RANDOM,
                linewidth=7,
                alpha=0.35,
                solid_capstyle="butt",
            )
            axes.plot((1, one.selected / scale), (place, place), color=palette.SELECTED, linewidth=1.2)
            axes.plot(one.selected / scale, place, "o", color=palette.SELECTED, markersize=7)
        axes.axvline(1, color=palette.RANDOM, linewidth=1)
        axes.set_yticks(
            range(len(facts)),
            [f"{HEADLINE_LABELS[one.name]}\n{_better(one)}" for one in reversed(facts)],
        )
        axes.set_ylim(-0.6, len(facts) - 0.4)
        axes.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        axes.set_xlabel("Share of the mean of the random draws (orange: 95 % of them; blue: the selection)")
        axes.margins(x=0.06)
        axes.grid(visible=True, axis="x")
        axes.spines["left"].set_visible(False)
        return svg(figure)


def waterfall(counts: Counts) -> bytes:
    """Draw how many were left after each step, from the listing to the selection."""
    new = counts.listed - counts.ignored - counts.earlier
    steps = [
        ("Objects listed", counts.listed, 0),
        ("Images and videos, by name", counts.listed - counts.ignored, counts.ignored),
        *([("New", new, counts.earlier)] if counts.earlier else []),
        ("Read", counts.read, sum(counts.skipped.values())),
        ("Samples", counts.samples, 0),
        *(
            [("Embedded", counts.samples - counts.near_identical, counts.near_identical)]
            if counts.near_identical
            else []
        ),
        ("Pool, without duplicates", counts.pool, counts.duplicates),
        ("Candidates", counts.candidates, counts.dropped + counts.protected),
        ("Selected", counts.selected, 0),
    ]
    most = max(1, *(kept for _, kept, _ in steps))
    with drawing(FULL_MM, 4 + 6 * len(steps)) as (figure, axes):
        for place, (name, kept, lost) in enumerate(reversed(steps)):
            colour = palette.SELECTED if name == "Selected" else palette.INPUT
            axes.barh(place, kept, color=colour, height=0.62)
            axes.barh(place, lost, left=kept, color=palette.RANDOM, alpha=0.45, height=0.62)
            note = f"{kept:,}" + (f"   (left out: {lost:,})" if lost else "")
            axes.text(kept + lost + most * 0.012, place, note, va="center", fontsize=8)
        axes.set_yticks(range(len(steps)), [name for name, _, _ in reversed(steps)])
        axes.set_xlim(0, most * 1.22)
        axes.xaxis.set_visible(False)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.tick_params(axis="y", labelcolor=palette.INK)
        return svg(figure)


def insertion(curve: Curve, radius: float | None) -> bytes:
    """Draw how far each pick was from what had been kept before it."""
    with drawing(FULL_MM, 58) as (figure, axes):
        axes.plot(curve.steps, curve.distances, color=palette.SELECTED, linewidth=1.4)
        if radius is not None:
            axes.axhline(radius, color=palette.RANDOM, linewidth=1, linestyle=(0, (4, 1.5)))
            axes.annotate(
                f"covering radius {radius:.3f}",
                (0, radius),
                xycoords=("axes fraction", "data"),
                xytext=(4, -4),
                textcoords="offset points",
                ha="left",
                va="top",
                color=palette.RANDOM,
            )
        axes.set_xlabel("Pick")
        axes.set_ylabel("Distance to what was kept")
        axes.set_ylim(0, 1.06 * max((*curve.distances, radius or 0), default=1) or 1)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.grid(visible=True, axis="y")
        axes.margins(x=0.01)
        return svg(figure)


def measure(facts: MeasureFacts) -> bytes:
    """Draw a measure's distribution in the input and in the selection."""
    edges = np.asarray(facts.edges)
    with drawing(HALF_MM, 42) as (figure, axes):
        for counted, colour in (
            (facts.input_counts, palette.INPUT),
            (facts.selected_counts, palette.SELECTED),
        ):
            share = np.asarray(counted) / max(1, sum(counted))
            axes.stairs(share, edges, fill=True, color=colour, alpha=0.30, linewidth=0)
            axes.stairs(share, edges, color=colour, linewidth=1.3)
        axes.set_xlabel(facts.unit)
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=3))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.grid(visible=True, axis="y")
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(bottom=0)
        return svg(figure)


def categories(facts: CategoryFacts) -> bytes:
    """Draw how often each value occurs in the input and in the selection; values are numbered as in the table."""
    inputs = np.asarray((*facts.input_counts, facts.input_other)) / _at_least_one(
        facts.input_counts, facts.input_other
    )
    picked = np.asarray((*facts.selected_counts, facts.selected_other)) / _at_least_one(
        facts.selected_counts, facts.selected_other
    )
    places = np.arange(len(inputs))
    with drawing(HALF_MM, 42) as (figure, axes):
        axes.bar(places - 0.2, inputs, width=0.38, color=palette.INPUT)
        axes.bar(places + 0.2, picked, width=0.38, color=palette.SELECTED)
        axes.set_xticks(places, [*(str(n) for n in range(1, len(inputs))), "other"])
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        axes.grid(visible=True, axis="y")
        return svg(figure)


def timings(stages: Sequence[StageTime]) -> bytes:
    """Draw how long each stage took."""
    most = max((stage.duration_s for stage in stages), default=0) or 1
    with drawing(FULL_MM, 10 + 6.5 * len(stages)) as (figure, axes):
        for place, stage in enumerate(reversed(stages)):
            axes.barh(place, stage.duration_s, color=palette.SELECTED, height=0.6)
            axes.text(stage.duration_s + most * 0.012, place, f"{stage.duration_s:,.1f} s", va="center")
        axes.set_yticks(range(len(stages)), [stage.name for stage in reversed(stages)])
        axes.set_xlim(0, most * 1.12)
        axes.xaxis.set_visible(False)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.tick_params(axis="y", labelcolor=palette.INK)
        return svg(figure)


def _points(
    axes: Axes,
    points: Sequence[tuple[float, float]],
    *,
    colour: str,
    size: float,
    alpha: float,
    label: str,
    edge: bool = False,
) -> None:
    placed = np.asarray(points, np.float64).reshape(-1, 2)
    # Thousands of vector marks take a PDF writer minutes; as one picture they take none.
    axes.scatter(
        placed[:, 0],
        placed[:, 1],
        s=size,
        color=colour,
        alpha=alpha,
        label=label,
        linewidths=0.4 if edge else 0,
        edgecolors="white" if edge else "none",
        rasterized=True,
    )


def _better(one: Headline) -> str:
    return "(higher is better)" if one.higher_is_better else "(lower is better)"


def _at_least_one(counts: Sequence[int], other: int) -> int:
    return max(1, sum(counts) + other)
