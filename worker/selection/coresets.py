"""Diversity over pools that lie in shards: k picks of each shard, then k of their union, with a bound that composes.

Farthest-first picks of each part are a composable core-set for k-center: Indyk, Mahabadi, Mahdian, Mirrokni,
Composable core-sets for diversity and coverage maximization, 2014; Malkomes, Kusner, Chen, Weinberger, Moseley, Fast
distributed k-center clustering with outliers on massive data, 2015. A row is within the radius of its shard of one of
the shard's picks, and that one is within a known distance of a final pick, so both together bound the way of
the row. Where each shard gives k farthest-first picks, bound and true radius are at most 4 times the smallest possible one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.device import Device
from worker.selection.farthest import farthest_first
from worker.selection.neighbours import nearest

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Joined:
    """k picks of the union of what the shards picked.

    `rows` is (k,), in pick order. `reaches` is (s,), the largest distance from a pick of each shard to its nearest final pick.
    No k rows cover all shards with less than `lowest`.
    """

    rows: Rows
    reaches: Values
    lowest: float

    def bound(self, radii: Values) -> float:
        """Return how far a row of any shard is at most from its nearest final pick.

        `radii` is (s,), the largest distance from a row of each shard to its nearest pick there.
        """
        return float((radii + self.reaches).max())


@dataclass(frozen=True, slots=True)
class Composed:
    """k rows of all shards, in pick order, and how well they cover what nobody has looked at together.

    Every row of every shard is within `bound` of one of them. No k rows cover all shards with less than `lowest`, so
    the smallest possible covering radius lies in [`lowest`, `bound`].
    """

    rows: Rows
    bound: float
    lowest: float


def join(picks: Vectors, owners: Rows, k: int, *, device: Device) -> Joined:
    """Pick k of the union of what the shards picked.

    Args:
        picks: (m, d) picks of all shards, finite. The first one is picked first, and of equally far ones the earlier.
        owners: (m,) the shard of each, 0 to s - 1, every one of which has some.
        k: how many to pick, at least 1; all of them if there are fewer.
        device: where distances are computed.

    Memory: as `farthest_first` and `nearest` of m vectors.

    Raises:
        ValueError: `owners` do not fit.
    """
    kinds = np.unique(owners)
    if len(owners) != len(picks) or not np.array_equal(kinds, np.arange(len(kinds))) or not len(kinds):
        raise ValueError(
            f"owners: should be (m,) shards from 0, each with a pick, for (m, d) picks (got {owners.shape} for {picks.shape})"
        )
    found = farthest_first(picks, k, device=device.torch_name)
    reaches = np.zeros(len(kinds))
    np.maximum.at(reaches, owners, nearest(picks, picks[found.rows], 1, device=device)[0][:, 0])
    # k picks and the row that is farthest from them are pairwise at least as far apart as that: two of them share
    # a centre, whatever the k centres are.
    return Joined(found.rows, reaches, found.radius / 2)


def select_by_shards(embeddings: Vectors, shards: Sequence[Rows], k: int, *, device: Device) -> Composed:
    """Pick k rows of all shards, looking at one shard at a time; one shard gives exactly what `farthest_first` gives.

    Args:
        embeddings: (rows, d), finite; may be a memory map.
        shards: ascending rows of each, at least one shard and one row each, no row in two.
        k: how many to pick, at least 1.
        device: where distances are computed.

    The order of the shards does not matter: their picks are joined in the order of rows. Memory: as
    `farthest_first` of the largest shard, and of k rows a shard.

    Raises:
        ValueError: no shard, or one without rows.
    """
    if not shards or not all(len(shard) for shard in shards):
        raise ValueError("shards: at least one is needed, and a row in each")
    found = [farthest_first(embeddings, k, candidates=shard, device=device.torch_name) for shard in shards]
    rows = np.concatenate([one.rows for one in found])
    owners = np.repeat(np.arange(len(shards)), [len(one.rows) for one in found])
    order = np.argsort(rows)
    joined = join(embeddings[rows[order]], owners[order], k, device=device)
    radii = np.array([one.radius for one in found])
    # A radius above 0 means that the shard gave k picks, and has one more row so far from all of them.
    return Composed(rows[order][joined.rows], joined.bound(radii), max(joined.lowest, float(radii.max()) / 2))
