"""Two drawings of made-up points that show what is measured; they hold no data of the job."""

import numpy as np
from numpy.typing import NDArray

from worker.rendering import palette
from worker.rendering.canvas import drawing, svg

_SIDE_MM = (64.0, 48.0)


def diversity() -> bytes:
    """Draw selected points, each joined to the closest other selected one."""
    inputs, selected = _made_up()
    between = np.linalg.norm(selected[:, None] - selected[None], axis=2)
    np.fill_diagonal(between, np.inf)
    return _drawn(inputs, selected, selected, selected[between.argmin(axis=1)], colour=palette.DATAPOOL)


def coverage() -> bytes:
    """Draw input points, each joined to the closest selected one."""
    inputs, selected = _made_up()
    to_selected = np.linalg.norm(inputs[:, None] - selected[None], axis=2)
    return _drawn(inputs, selected, inputs, selected[to_selected.argmin(axis=1)], colour=palette.MUTED)


def _made_up() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.Generator(np.random.PCG64(7))
    centres = np.array([[0.0, 0.0], [2.6, 0.7], [1.1, 2.2]])
    inputs = np.concatenate([centre + 0.55 * rng.standard_normal((16, 2)) for centre in centres])
    chosen = [0]
    closest = np.linalg.norm(inputs - inputs[0], axis=1)
    while len(chosen) < 7:
        chosen.append(int(closest.argmax()))
        closest = np.minimum(closest, np.linalg.norm(inputs - inputs[chosen[-1]], axis=1))
    return inputs, inputs[chosen]


def _drawn(
    inputs: NDArray[np.float64],
    selected: NDArray[np.float64],
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    *,
    colour: str,
) -> bytes:
    with drawing(*_SIDE_MM) as (figure, axes):
        for start, end in zip(starts, ends, strict=True):
            axes.plot((start[0], end[0]), (start[1], end[1]), color=colour, linewidth=1.1, zorder=1)
        axes.scatter(inputs[:, 0], inputs[:, 1], s=16, color=palette.INPUT, zorder=2, linewidths=0)
        axes.scatter(selected[:, 0], selected[:, 1], s=34, color=palette.SELECTED, zorder=3, linewidths=0)
        axes.set_axis_off()
        axes.set_aspect("equal")
        return svg(figure)
