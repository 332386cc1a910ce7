"""When the selected frames are displayed."""

from typing import ClassVar, Literal

from worker.blocks import Block, Figure
from worker.facts import Facts
from worker.rendering import timelines
from worker.rendering.text import common_folder, count, plural, shortened
from worker.section import Pictures, Section
from worker.video_facts import VideosFacts

_MAX_LANES = 25


class Timeline(Section):
    """A lane a video, or a row of shades where there are many."""

    type: Literal["timeline"] = "timeline"
    title: ClassVar[str] = "The selected frames in time"
    order: ClassVar[int] = 24

    def blocks(self, facts: Facts, pictures: Pictures) -> tuple[Block, ...]:
        """Return the drawing; nothing without a selected frame of a video."""
        del pictures
        found = facts.videos
        if found is None or not found.totals.counts.selected:
            return ()
        few = len(found.videos) <= _MAX_LANES
        return (
            Figure(
                media_type="image/svg+xml",
                body=timelines.lanes(found.videos) if few else timelines.heat_map(found.videos),
                alt=_alt(found),
                caption=_caption(found, few=few),
                data="videos.videos",
            ),
        )


def _alt(found: VideosFacts) -> str:
    totals = found.totals
    most = max(found.videos, key=lambda video: video.counts.selected)
    return (
        f"Timeline of {plural(len(found.videos), 'video')} with {plural(totals.counts.selected, 'selected frame')} from "
        f"{count(totals.selected_from)} of them; most, {count(most.counts.selected)}, from {shortened(most.name, 60)}."
    )


def _caption(found: VideosFacts, *, few: bool) -> str:
    folder = common_folder([video.name for video in found.videos])
    where = f" Names are below {shortened(folder, 80)}." if folder else ""
    drawn = (
        "One bar a video, one mark a selected frame; shades where a video has too many to tell apart."
        if few
        else f"One row a video in the order of their names, {len(_widest(found))} parts of its duration a row; the darker a "
        "part, the more selected frames are in it."
    )
    rest = found.totals.videos - len(found.videos)
    return f"{drawn}{where}" + (f" {plural(rest, 'video')} with fewer or none not shown." if rest else "")


def _widest(found: VideosFacts) -> tuple[int, ...]:
    return max((video.timeline.bins for video in found.videos), key=len)
