"""Which candidates are nearer than the minimum distance to what is selected, by differences in float64."""

import numpy as np

from worker.device import Device
from worker.selection.exact import squared_distances
from worker.selection.facility.coverage_tables import Points
from worker.selection.neighbours import nearest
from worker.selection.terms import Diversity


class Spacing:
    """Which candidates are nearer than the minimum distance to what is selected, by differences in float64."""

    def __init__(self, points: Points, term: Diversity, device: Device) -> None:
        self._points = points
        self._least = term.minimum_distance
        self.skips = term.on_too_close == "skip"
        self.too_close = np.zeros(points.m, np.bool_)
        if len(points.selected) and len(points.vectors):
            distances = nearest(points.vectors, points.selected, 1, device=device)[0][:, 0]
            self.too_close[points.owners[distances < self._least]] = True

    def add(self, position: int) -> None:
        """One look at the points of all candidates, for each point of this one."""
        owners, vectors = self._points.owners, self._points.vectors
        own = slice(*np.searchsorted(owners, [position, position + 1]))
        for vector in vectors[own]:
            distances = np.sqrt(squared_distances(vectors, vector[None]))
            self.too_close[owners[distances < self._least]] = True
