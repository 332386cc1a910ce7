"""Kept samples beside those that were left out."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from worker.blocks import Block, PicturePair, PicturePairs, Text
from worker.facts import Facts, Pair
from worker.rendering.pictured import pictured
from worker.rendering.text import distance
from worker.section import Pictures, Section


class Pairs(Section):
    """What was left out nearest to a kept sample, and what the selection represents worst."""

    type: Literal["pairs"] = "pairs"
    title: ClassVar[str] = "Kept and left out"
    order: ClassVar[int] = 70

    def blocks(self, facts: Facts, pictures: Pictures) -> tuple[Block, ...]:
        """Return two rows of pairs."""
        found = facts.analysis
        blocks: list[Block] = []
        if found.look_alikes:
            blocks += [
                Text(
                    "Closest: the samples that were left out nearest to a kept one. "
                    "The smaller the distance, the less a label for them would have added."
                ),
                _pairs(found.look_alikes, facts, pictures),
            ]
        if found.least_covered:
            blocks += [
                Text(
                    "Covered worst: these were left out, and the closest kept sample is farther than for any other."
                ),
                _pairs(found.least_covered, facts, pictures),
            ]
        return tuple(blocks)


def _pairs(pairs: Sequence[Pair], facts: Facts, pictures: Pictures) -> PicturePairs:
    return PicturePairs(
        left_label="Kept",
        right_label="Left out",
        pairs=tuple(
            PicturePair(
                left=pictured(facts, pictures, pair.kept),
                right=pictured(facts, pictures, pair.dropped),
                note=f"Distance {distance(pair.distance)}",
            )
            for pair in pairs
        ),
    )
