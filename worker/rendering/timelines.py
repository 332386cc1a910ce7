"""When the selected frames of videos are displayed."""

from collections.abc import Sequence
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from jobs.visible import visible
from worker.rendering import palette
from worker.rendering.canvas import drawing, svg
from worker.rendering.figures import FULL_MM
from worker.rendering.text import common_folder, plural, seconds, shortened
from worker.video_facts import VideoFacts

_LANE_MM = 6.2
_LABELS_MM = 2.7
_MAX_ROWS_MM = 186
_LABEL_LIMIT = 30
_ALIKE = 5


def lanes(videos: Sequence[VideoFacts]) -> bytes:
    """Draw one bar a video over its duration, with a tick at each selected frame, or shades where there are too many.

    Videos of like length share an axis in time; otherwise each fills the width.
    """
    lengths = [_length(video) for video in videos]
    in_time = max(lengths) <= _ALIKE * min(lengths)
    with drawing(FULL_MM, 14 + _LANE_MM * len(videos)) as (figure, axes):
        for place, (video, length) in enumerate(zip(videos, lengths, strict=True)):
            scale = 1.0 if in_time else 1 / length
            axes.barh(place, length * scale, color=palette.INPUT, alpha=0.28, height=0.58)
            _marks(axes, video, place, scale)
            axes.annotate(
                f"{plural(video.counts.selected, 'frame')}, {_said(video)}",
                (1, place),
                xycoords=("axes fraction", "data"),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                fontsize=7,
                color=palette.MUTED,
                annotation_clip=False,
            )
        axes.set_yticks(range(len(videos)), _names(videos))
        axes.set_ylim(len(videos) - 0.4, -0.6)
        axes.set_xlim(0, max(lengths) if in_time else 1)
        _time_axis(axes, in_time=in_time, longest=max(lengths))
        axes.tick_params(axis="y", labelcolor=palette.INK)
        axes.spines["left"].set_visible(False)
        return svg(figure)


def heat_map(videos: Sequence[VideoFacts]) -> bytes:
    """Draw one row a video; the darker a part of its duration, the more selected frames are in it."""
    counts = np.array([video.timeline.bins or (0,) * _bins(videos) for video in videos], np.int64)
    most = max(1, int(counts.max()))
    step = ceil(len(videos) * _LABELS_MM / _MAX_ROWS_MM)
    labelled = range(0, len(videos), step)
    with drawing(FULL_MM, 22 + min(_MAX_ROWS_MM, _LABELS_MM * len(videos))) as (figure, axes):
        axes.imshow(
            _shades(counts / most),
            extent=(0, 1, len(videos) - 0.5, -0.5),
            aspect="auto",
            interpolation="nearest",
        )
        axes.set_yticks(labelled, [_names(videos)[place] for place in labelled])
        axes.tick_params(axis="y", labelcolor=palette.INK, labelsize=5.5)
        _time_axis(axes, in_time=False, longest=1.0)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.grid(visible=False)
        _legend(figure, most)
        return svg(figure)


def _marks(axes: Axes, video: VideoFacts, place: int, scale: float) -> None:
    found = video.timeline
    if found.selected_s:
        at = (np.array(found.selected_s) - found.start_s) * scale
        axes.vlines(at, place - 0.36, place + 0.36, color=palette.SELECTED, linewidth=1.1)
    elif found.bins:
        shades = _shades(np.array([found.bins]) / max(found.bins))
        extent = (0.0, _length(video) * scale, place + 0.29, place - 0.29)
        axes.imshow(shades, extent=extent, aspect="auto", interpolation="nearest")


def _shades(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (r, c, 4) colours of (r, c) shares of the largest count; grey where nothing is."""
    colours = np.empty((*shares.shape, 4))
    colours[..., :3] = np.where(shares[..., None] > 0, to_rgb(palette.SELECTED), to_rgb(palette.INPUT))
    colours[..., 3] = np.where(shares > 0, 0.4 + 0.6 * shares, 0.16)
    return colours


def _legend(figure: Figure, most: int) -> None:
    shown = sorted({1, ceil(most / 2), most})
    shades = _shades(np.array([[0, *shown]]) / most)[0]
    texts = ["no frame", *(plural(number, "frame") for number in shown)]
    handles = [Patch(color=shade, label=text) for shade, text in zip(shades.tolist(), texts, strict=True)]
    figure.legend(handles=handles, loc="outside upper left", ncols=4, handlelength=1.2)


def _time_axis(axes: Axes, *, in_time: bool, longest: float) -> None:
    if not in_time:
        axes.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        axes.set_xlabel("Share of the video's duration")
        return
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 3, 6, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _clock(value, longest)))
    axes.set_xlabel("Time since the first frame" + (", s" if longest < 60 else ""))
    axes.grid(visible=True, axis="x")


def _clock(value: float, longest: float) -> str:
    if longest < 60:
        return f"{value:g}"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if longest >= 3600 else f"{minutes}:{rest:02d}"


def _names(videos: Sequence[VideoFacts]) -> list[str]:
    folder = common_folder([video.name for video in videos])
    return [shortened(visible(video.name.removeprefix(folder)), _LABEL_LIMIT) for video in videos]


def _length(video: VideoFacts) -> float:
    """Return seconds, above 0 so that a lane has some extent."""
    return max(video.timeline.end_s - video.timeline.start_s, 0.001)


def _said(video: VideoFacts) -> str:
    return seconds(video.timeline.end_s - video.timeline.start_s)


def _bins(videos: Sequence[VideoFacts]) -> int:
    return max(len(video.timeline.bins) for video in videos) or 1
