"""Where the time went."""

from typing import ClassVar, Literal

from worker.blocks import Block, Figure, KeyValues
from worker.facts import Facts
from worker.rendering import figures
from worker.rendering.text import count, seconds, size
from worker.section import Pictures, Section


class Timings(Section):
    """Stages, speed, requests and bytes of this run."""

    type: Literal["timings"] = "timings"
    title: ClassVar[str] = "This run"
    order: ClassVar[int] = 110

    def blocks(self, facts: Facts, pictures: Pictures) -> tuple[Block, ...]:
        """Return the stages and the figures of the run."""
        del pictures
        run = facts.run
        requests = ", ".join(f"{count(number)} {kind}" for kind, number in sorted(run.requests.items()))
        rows = (
            ("Started", run.started_at.strftime("%Y-%m-%d %H:%M:%S %Z")),
            ("Until this report was drawn", seconds((run.finished_at - run.started_at).total_seconds())),
            (
                "Speed",
                "nothing was embedded" if run.images_per_s is None else f"{run.images_per_s:,.1f} samples/s",
            ),
            ("Device", run.device),
            ("Host", run.host),
            ("Read and written", f"{size(run.bytes_read)} read, {size(run.bytes_written)} written"),
            ("Requests", requests or "none"),
            ("Attempts", count(run.attempts)),
        )
        if not run.stages:
            return (KeyValues(rows),)
        spoken = ", ".join(f"{stage.name} {seconds(stage.duration_s)}" for stage in run.stages)
        drawing = Figure(
            media_type="image/svg+xml",
            body=figures.timings(run.stages),
            alt=f"Bar chart of the stages: {spoken}.",
            caption="Time spent in each stage.",
            data="run.stages",
        )
        return (drawing, KeyValues(rows))
