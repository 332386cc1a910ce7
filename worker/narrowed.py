"""The search for a better interval of the best possible covering radius, where a job asks for it."""

import time

import numpy as np
from numpy.typing import NDArray

from worker.analysis.distances import Embeddings, Rows, to_closest
from worker.device import Device
from worker.events import Events
from worker.selection.interval import RadiusInterval, narrow


def narrowed(
    embeddings: Embeddings,
    selected: Rows,
    candidates: NDArray[np.bool_],
    *,
    steps: int,
    seed: int,
    device: Device,
    events: Events,
) -> RadiusInterval | None:
    """Return the interval after `steps` of search, and tell the events how long it took.

    None where no steps are asked for, nothing is selected, or the selection covers every candidate at distance 0.
    """
    could_be = np.flatnonzero(candidates)
    if not steps or not len(selected):
        return None
    radius = float(to_closest(embeddings, could_be, selected, device=device)[0].max())
    if radius == 0:
        return None
    began = time.monotonic()
    found = narrow(embeddings, could_be, selected, radius, device=device, steps=steps, seed=seed)
    events.emit(
        "radius_narrowed",
        lowest=round(found.lowest, 6),
        highest=round(found.highest, 6),
        reached=round(radius, 6),
        duration_s=round(time.monotonic() - began, 3),
    )
    return found
