"""Everything that is needed to get the same selection again."""

import json
from typing import ClassVar, Literal

from worker.blocks import Block, Code, KeyValues, Table
from worker.facts import EmbeddingFacts, Facts
from worker.rendering.text import percent, shortened
from worker.section import Pictures, Section

MAX_CONFIG_CHARACTERS = 12_000


class Reproducibility(Section):
    """The model, the strategies, the job as it ran, versions and digests."""

    type: Literal["reproducibility"] = "reproducibility"
    title: ClassVar[str] = "How to get the same selection again"
    order: ClassVar[int] = 120

    def blocks(self, facts: Facts, pictures: Pictures) -> tuple[Block, ...]:
        """Return the receipt."""
        del pictures
        config = json.dumps(facts.job.config, indent=2, ensure_ascii=False, sort_keys=True)
        versions = ", ".join(f"{name} {version}" for name, version in sorted(facts.run.versions.items()))
        return (
            KeyValues(
                (
                    ("Seed", str(facts.job.seed)),
                    *_embedding(facts.embedding),
                    ("Versions", versions),
                    *((f"SHA-256 of {name}", digest) for name, digest in sorted(facts.digests.items())),
                )
            ),
            Table(
                caption="Strategies, in the order of the job.",
                columns=("Strategy", "Input", "Strength", "Parameters"),
                rows=tuple(
                    (one.type, one.input, f"{one.strength:g}", one.detail or "none")
                    for one in facts.strategies
                ),
                numeric=(2,),
            ),
            Code(caption="The job as it ran, after defaults.", text=shortened(config, MAX_CONFIG_CHARACTERS)),
        )


def _embedding(one: EmbeddingFacts) -> tuple[tuple[str, str], ...]:
    reduced = (
        f"{one.dimension_model} reduced to {one.dimension} by PCA, which keeps {percent(one.explained_variance)} of "
        "the variance"
        if one.explained_variance is not None
        else f"{one.dimension}, as the model gives it"
    )
    preprocessing = ", ".join(f"{name} {value}" for name, value in one.preprocessing.items())
    return (
        ("Model", f"{one.model} ({one.licence})"),
        ("Weights, SHA-256", one.weights_sha256),
        ("Preprocessing", preprocessing),
        ("Dimension", reduced),
        (
            "Length of vectors",
            "1 (normalised); distances lie between 0 and 2" if one.normalised else "as given",
        ),
    )
