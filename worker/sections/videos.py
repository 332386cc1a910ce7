"""What became of each video."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from worker.blocks import Block, Table, Text, Tile, Tiles
from worker.facts import Facts
from worker.rendering.text import common_folder, count, plural, seconds, shortened
from worker.section import Pictures, Section
from worker.video_facts import VideoFacts, VideosFacts, VideoTotals

_SHOWN = 30
_FAULTS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class _Column:
    """A number of each video; one that is usual everywhere is shown only where `always`."""

    name: str
    of: Callable[[VideoFacts], float | None]
    meaning: str = ""
    always: bool = False

    def tells(self, video: VideoFacts) -> bool:
        usual = video.counts.selected if self.name == "Sequences" else 0
        return self.always or self.of(video) != usual


_COLUMNS = (
    _Column("Duration", lambda video: video.duration_s, always=True),
    _Column("Frames", lambda video: video.frames, always=True),
    _Column("Sampled", lambda video: video.counts.sampled, "frames that the job asked for", always=True),
    _Column("Lost", lambda video: video.counts.lost, "could not be decoded"),
    _Column(
        "Near identical",
        lambda video: video.counts.near_identical,
        "look like the one kept before and were not embedded",
    ),
    _Column("Duplicates", lambda video: video.counts.duplicates, "the same picture as another sample"),
    _Column("Pool", lambda video: video.counts.pool, "what the selection looked at", always=True),
    _Column("Selected", lambda video: video.counts.selected, always=True),
    _Column("Sequences", lambda video: video.counts.sequences, "runs of frames selected together"),
)


class Videos(Section):
    """A table of the videos, and one of what is wrong with some."""

    type: Literal["videos"] = "videos"
    title: ClassVar[str] = "Videos"
    order: ClassVar[int] = 22

    def blocks(self, facts: Facts, pictures: Pictures) -> tuple[Block, ...]:
        """Return the sum, the videos with the most selected frames, and faults; nothing without videos."""
        del pictures
        found = facts.videos
        if found is None:
            return ()
        shown = _most_selected(found.videos, _SHOWN)
        columns = [column for column in _COLUMNS if any(column.tells(video) for video in shown)]
        return (
            _tiles(found.totals),
            Text(_meanings(columns), muted=True),
            _table(found, shown, columns),
            *_faults(found),
        )


def _tiles(totals: VideoTotals) -> Tiles:
    counts = totals.counts
    silent = plural(totals.undated, "video does", "videos do")
    in_sequences = (
        "" if counts.sequences == counts.selected else f"in {plural(counts.sequences, 'sequence')}, "
    )
    return Tiles(
        (
            Tile(
                count(totals.videos),
                "Videos",
                f"{count(totals.faulty)} with a fault" if totals.faulty else "",
            ),
            Tile(
                "unknown" if totals.undated == totals.videos else seconds(totals.duration_s),
                "Duration",
                f"{silent} not say" if totals.undated else "",
            ),
            Tile(
                "unknown" if totals.uncounted == totals.videos else count(totals.frames),
                "Frames",
                f"{count(counts.sampled)} asked for as samples"
                + (f"; {plural(totals.uncounted, 'video')} not counted" if totals.uncounted else ""),
            ),
            Tile(
                count(counts.selected),
                "Frames selected",
                f"{in_sequences}from {plural(totals.selected_from, 'video')}",
            ),
        )
    )


def _meanings(columns: Sequence[_Column]) -> str:
    return " ".join(f"{column.name}: {column.meaning}." for column in columns if column.meaning)


def _table(found: VideosFacts, shown: Sequence[VideoFacts], columns: Sequence[_Column]) -> Table:
    folder = common_folder([video.name for video in shown])
    where = f" below {shortened(folder, 80)}" if folder else ""
    return Table(
        caption=f"Frames by video{where}.{_more(found, len(shown))}",
        columns=("Video", *(column.name for column in columns)),
        rows=tuple(
            (
                shortened(video.name.removeprefix(folder), 60),
                *(_cell(column, video) for column in columns),
            )
            for video in shown
        ),
        numeric=tuple(range(1, len(columns) + 1)),
    )


def _cell(column: _Column, video: VideoFacts) -> str:
    value = column.of(video)
    if value is None:
        return "unknown"
    return seconds(value) if column.name == "Duration" else count(int(value))


def _most_selected(videos: Sequence[VideoFacts], most: int) -> list[VideoFacts]:
    """Return at most so many videos, those with the most selected frames, in key order."""
    order = sorted(range(len(videos)), key=lambda at: -videos[at].counts.selected)
    return [videos[at] for at in sorted(order[:most])]


def _more(found: VideosFacts, shown: int) -> str:
    rest = found.totals.videos - shown
    if not rest:
        return ""
    listed = len(found.videos)
    where = "" if listed == found.totals.videos else f", which lists {count(listed)}"
    return f" Those with the most selected frames; {count(rest)} more, see report.json{where}."


def _faults(found: VideosFacts) -> tuple[Block, ...]:
    faults = [(video.name, fault) for video in found.videos for fault in video.faults]
    if not faults:
        return ()
    shown = faults[:_FAULTS_SHOWN]
    rest = "" if len(shown) == len(faults) else " Not all are shown; see skipped.json."
    return (
        Table(
            caption=f"What is wrong with {plural(found.totals.faulty, 'video')}, whose good frames were kept.{rest}",
            columns=("Video", "Reason", "Detail"),
            rows=tuple(
                (shortened(name, 70), fault.reason.replace("_", " "), shortened(fault.detail, 160))
                for name, fault in shown
            ),
        ),
    )
