"""The verdict first: what was picked, how it compares with chance, and what to know before using it."""

from typing import ClassVar, Literal

from worker.blocks import Block, Callout, Figure, Text, Tile, Tiles, Tone
from worker.facts import Baseline, Facts, Headline, HeadlineName
from worker.rendering import figures
from worker.rendering.text import count, distance, percent, plural
from worker.section import Pictures, Section

_TITLES = {
    "better": "The selection is better than chance",
    "same": "The selection is as good as chance",
    "mixed": "The selection is better than chance in part",
    "worse": "The selection is worse than chance",
    "none": "There is nothing to compare with chance",
}
_TONES: dict[str, Tone] = {"better": "good", "worse": "warning", "mixed": "neutral"}
_TILES: tuple[tuple[HeadlineName, str], ...] = (
    ("diversity_mean", "Diversity, mean"),
    ("coverage_mean", "Coverage distance, mean"),
    ("coverage_max", "Coverage distance, largest"),
)


class Summary(Section):
    """A sentence, four numbers, one drawing, and the warnings."""

    type: Literal["summary"] = "summary"
    title: ClassVar[str] = "Summary"
    order: ClassVar[int] = 10

    def blocks(self, facts: Facts, pictures: Pictures) -> tuple[Block, ...]:
        """Return the verdict, then its numbers."""
        del pictures
        found = facts.analysis
        tone = _TONES.get(found.verdict.level, "neutral")
        warnings = tuple(Callout("warning", "Please note", text) for text in facts.warnings)
        with_datapool = facts.counts.preselected > 0
        return (
            Callout(tone, _TITLES[found.verdict.level], found.verdict.sentence),
            Tiles((_selected(facts), *_beside_chance(found.baseline))),
            *warnings,
            *_drawn(found.baseline, with_datapool=with_datapool),
        )


def _selected(facts: Facts) -> Tile:
    counts = facts.counts
    share = counts.selected / counts.candidates if counts.candidates else None
    together = f"; {count(counts.preselected)} in the datapool before" if counts.preselected else ""
    return Tile(
        value=count(counts.selected),
        label="Selected",
        note=f"{percent(share)} of {plural(counts.candidates, 'candidate')}, {count(counts.asked)} asked for{together}",
    )


def _beside_chance(baseline: Baseline) -> list[Tile]:
    by_name = {one.name: one for one in baseline.headlines}
    return [_tile(label, by_name[name]) for name, label in _TILES if name in by_name]


def _tile(label: str, one: Headline) -> Tile:
    wanted = "higher" if one.higher_is_better else "lower"
    return Tile(
        value=distance(one.selected),
        label=label,
        note=f"random {distance(one.random_mean)}; {wanted} is better",
    )


def _drawn(baseline: Baseline, *, with_datapool: bool) -> tuple[Block, ...]:
    if not baseline.headlines:
        return ()
    beaten = "; ".join(
        f"{figures.HEADLINE_LABELS[one.name].lower()}: better than {one.better_than} of {baseline.draws}"
        for one in baseline.headlines
    )
    drawing = Figure(
        media_type="image/svg+xml",
        body=figures.headlines(baseline.headlines),
        alt=f"The selection beside {baseline.draws} random draws. {beaten}.",
        caption=f"The selection beside {baseline.draws} random draws. {beaten[0].upper()}{beaten[1:]}.",
        data="analysis.baseline",
    )
    return (drawing, Text(_how(baseline, with_datapool=with_datapool), muted=True))


def _how(baseline: Baseline, *, with_datapool: bool) -> str:
    text = (
        f"Each of the {baseline.draws} draws takes as many samples as the selection, uniformly from the same "
        "candidates (whole sequences, where sequences were selected), with the job's seed."
    )
    if with_datapool:
        text += " The draws and the selection are all measured together with the datapool."
    if baseline.measured_rows < baseline.input_rows:
        text += (
            f" For the draws, and for the numbers of the selection beside them, coverage is estimated on a seeded "
            f"sample of {count(baseline.measured_rows)} of {count(baseline.input_rows)} input samples."
        )
    return text
