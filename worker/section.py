"""What a report section provides: blocks made from facts."""

from collections.abc import Mapping
from typing import ClassVar

from worker.blocks import Block
from worker.facts import Facts
from worker.registry import Variant

Pictures = Mapping[str, bytes]
"""Sample name to JPEG thumbnail; empty where a job asks for a report without pictures."""


class Section(Variant):
    """A titled run of blocks. Presents facts and computes nothing from embeddings or pixels.

    `order` decides the place on the page and is unique; a section without blocks is left out.
    """

    kind: ClassVar[str] = "section"
    title: ClassVar[str]
    order: ClassVar[int]

    def blocks(self, facts: Facts, pictures: Pictures) -> tuple[Block, ...]:
        """Return what to show; must not fail for an empty selection, one sample, or no pictures."""
        raise NotImplementedError
