"""The scatter plot with pictures in it."""

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image

from worker.facts import Scatter
from worker.rendering import palette
from worker.rendering.canvas import drawing, jpeg

WIDTH_MM, HEIGHT_MM = 174.0, 112.0
PICTURE_MM = 18.0
PICTURE_PX = 176
_GAP_MM = 1.4
_ROUNDS = 200

Points = NDArray[np.float64]


def picture_map(facts: Scatter, pictures: Mapping[str, bytes]) -> bytes | None:
    """Draw the example pictures near their place among the points, moved apart so that none hides another.

    Returns a JPEG, or None where there is no picture to place.
    """
    shown = [one for one in facts.examples if one.sample in pictures]
    if not shown:
        return None
    everything = np.asarray([*facts.input, *facts.selected], np.float64).reshape(-1, 2)
    points = _in_mm(everything, everything)
    at = _in_mm(np.array([(one.x, one.y) for one in shown]), everything)
    placed = moved_apart(at, gap=PICTURE_MM + _GAP_MM, box=(WIDTH_MM, HEIGHT_MM))
    with drawing(WIDTH_MM, HEIGHT_MM) as (figure, axes):
        figure.set_layout_engine("none")
        axes.set_position((0, 0, 1, 1))
        axes.set_axis_off()
        axes.scatter(points[:, 0], points[:, 1], s=9, color=palette.INPUT, alpha=0.55, linewidths=0)
        for one, here, there in zip(shown, at, placed, strict=True):
            colour = palette.SELECTED if one.selected else palette.INPUT
            axes.plot((here[0], there[0]), (here[1], there[1]), color=palette.MUTED, linewidth=0.7, zorder=2)
            axes.plot(here[0], here[1], "o", color=colour, markersize=3.5, zorder=3)
            _place(axes, pictures[one.sample], centre=there, colour=colour)
        axes.set_xlim(0, WIDTH_MM)
        axes.set_ylim(0, HEIGHT_MM)
        return jpeg(figure)


def moved_apart(points: Points, *, gap: float, box: tuple[float, float]) -> Points:
    """Return (n, 2) centres of squares of side `gap` inside the box, near the points and hardly overlapping.

    Overlapping squares push each other along the axis on which they overlap least. Deterministic.
    """
    placed = points.astype(np.float64)
    low, high = np.full(2, gap / 2), np.asarray(box, np.float64) - gap / 2
    for _ in range(_ROUNDS):
        placed = placed.clip(low, high)
        if not _push(placed, gap):
            break
    return placed.clip(low, high)


def _push(placed: Points, gap: float) -> bool:
    """Move every overlapping pair apart, in place, and say whether there was one."""
    moved = False
    for a in range(len(placed)):
        for b in range(a + 1, len(placed)):
            apart = placed[b] - placed[a]
            overlap = gap - np.abs(apart)
            if (overlap <= 1e-6).any():
                continue
            axis = int(overlap.argmin())
            move = overlap[axis] / 2 * (1.0 if apart[axis] >= 0 else -1.0)
            placed[a, axis] -= move
            placed[b, axis] += move
            moved = True
    return moved


def _in_mm(points: Points, everything: Points) -> Points:
    """Map data coordinates to the drawing, with a margin of half a picture; an axis without extent is centred."""
    low, extent = everything.min(axis=0), np.ptp(everything, axis=0)
    share = np.where(extent > 0, (points - low) / np.where(extent > 0, extent, 1.0), 0.5)
    margin = PICTURE_MM / 2
    return margin + share * (np.array([WIDTH_MM, HEIGHT_MM]) - 2 * margin)


def _place(axes: Axes, jpeg_bytes: bytes, *, centre: Points, colour: str) -> None:
    """Put a picture, fitted into its square, with a frame in the colour of its set."""
    with Image.open(io.BytesIO(jpeg_bytes)) as picture:
        picture.draft("RGB", (PICTURE_PX, PICTURE_PX))
        small = picture.convert("RGB")
        small.thumbnail((PICTURE_PX, PICTURE_PX))
    half = PICTURE_MM / 2 * np.array(small.size) / max(small.size)
    (left, bottom), (right, top) = centre - half, centre + half
    extent = (left, right, bottom, top)
    axes.imshow(np.asarray(small), extent=extent, aspect="auto", interpolation="lanczos", zorder=4)
    axes.plot(
        (left, right, right, left, left),
        (bottom, bottom, top, top, bottom),
        color=colour,
        linewidth=1.6,
        solid_joinstyle="round",
        zorder=5,
    )
