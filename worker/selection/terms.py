"""What a selection is asked to be: the terms whose objectives are combined. Values only, no behaviour."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Mode = Literal["objective_product", "gain_product", "submodular"]


@dataclass(frozen=True, slots=True)
class Objects:
    """Several embeddings a row: (m, d) float32 vectors, and the (m,) ascending rows of the pool that own them.

    A row may own none.
    """

    embeddings: NDArray[np.float32]
    owners: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Diversity:
    """Far apart: the objective is the sum of squared nearest-neighbour distances inside the selection.

    `objects` None means the pool's own embeddings. No pick is nearer than `minimum_distance` to what is selected:
    such a candidate is passed over, or ends the selection when it comes out best.
    """

    strength: float = 1.0
    objects: Objects | None = None
    minimum_distance: float = 0.0
    on_too_close: Literal["skip", "stop"] = "skip"


@dataclass(frozen=True, slots=True)
class Weights:
    """Large values: the objective is the sum of the selection's values, (n,) finite and not negative.

    `stop_at_sum`: no pick after the sum of the picks and the preselected rows has reached it. `stop_below`: the first
    candidate that comes out best with a smaller value ends the selection. `target` (least, most): the objective is
    then how well the sum keeps to the line that ends in this range, not the sum itself. `is_typicality`: beside diversity,
    the mode submodular takes them for how much each row counts that is to be stood for.
    """

    values: Values
    strength: float = 1.0
    stop_at_sum: float | None = None
    stop_below: float | None = None
    target: tuple[float, float] | None = None
    is_typicality: bool = False


@dataclass(frozen=True, slots=True)
class Balance:
    """Classes in proportion: the objective is 1 / cross-entropy of the (c,) target and the selection's class shares.

    `shares` (n, c), not negative: how much of each class a row brings, a one for a category, a probability, or a sum of
    these over objects. `target` adds up to 1.
    """

    shares: Values
    target: Values
    strength: float = 1.0


Term = Diversity | Weights | Balance
