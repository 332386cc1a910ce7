"""What can be proven about the selection without trusting the strategy that made it."""

from typing import ClassVar, Literal

from worker.blocks import Block, Callout, Figure, KeyValues, Text
from worker.facts import Counts, Facts
from worker.facts import Proof as ProofFacts
from worker.rendering import figures
from worker.rendering.text import count, distance, plural
from worker.section import Pictures, Section


class Proof(Section):
    """The covering radius, an interval for the best possible one, and the insertion distances."""

    type: Literal["proof"] = "proof"
    title: ClassVar[str] = "How close to the best possible"
    order: ClassVar[int] = 60

    def blocks(self, facts: Facts, pictures: Pictures) -> tuple[Block, ...]:
        """Return the interval, the numbers behind it and the curve."""
        del pictures
        found = facts.analysis.proof
        if found.radius_pool is None:
            return ()
        numbers = KeyValues(
            (
                ("Covering radius over the candidates", distance(found.radius_candidates)),
                ("Covering radius over all input samples", distance(found.radius_pool)),
                ("Smallest distance between kept samples", distance(found.separation)),
            )
        )
        return (_interval(found, facts.counts), numbers, *_curve(found))


def _interval(found: ProofFacts, counts: Counts) -> Block:
    if found.optimum_low is None or found.optimum_high is None:
        return Callout("neutral", "No interval can be proven", f"Because {found.reason}.")
    reached = found.radius_candidates or found.optimum_high
    better = (
        f" A search found as many other samples that come within {distance(found.optimum_high)} of every candidate."
        if found.optimum_high < reached
        else ""
    )
    apart = min(found.separation or reached, reached)
    proof = (
        "Samples far apart, found by a search, prove this."
        if found.optimum_low > apart / 2
        else "Distances between the kept samples alone prove this."
    )
    joined = ", together with the datapool," if counts.preselected else ""
    return Callout(
        "neutral",
        f"Within a factor of {reached / found.optimum_low:.2f} of the best possible, proven on this data",
        f"Every candidate is at most {distance(reached)} from a kept sample.{better} No selection of "
        f"{plural(counts.selected, 'sample')} from these candidates{joined or ','} however it is made, gets below "
        f"{distance(found.optimum_low)}. {proof}",
    )


def _curve(found: ProofFacts) -> tuple[Block, ...]:
    curve = found.insertion
    if len(curve.steps) < 2:
        return ()
    thinned = (
        f" {count(len(curve.steps))} of {count(curve.picks)} picks are shown." if _thinned(found) else ""
    )
    drawing = Figure(
        media_type="image/svg+xml",
        body=figures.insertion(curve, found.radius_candidates),
        alt=f"Line chart: the distance of a pick to everything kept before goes from {distance(curve.distances[0])} "
        f"to {distance(curve.distances[-1])}.",
        caption=f"How new each pick was when it was picked.{thinned}",
        data="analysis.proof.insertion",
    )
    reading = Text(
        "A curve that is still falling steeply at its end says that more samples would add something new; a flat one "
        "says that further picks would resemble what is there.",
        muted=True,
    )
    return (drawing, reading)


def _thinned(found: ProofFacts) -> bool:
    return len(found.insertion.steps) < found.insertion.picks - 1
