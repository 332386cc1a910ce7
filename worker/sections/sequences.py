"""Where the selected sequences lie, and how to cut them out."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from worker.blocks import Block, Commands, Table, Text
from worker.facts import Facts
from worker.rendering.text import common_folder, count, plural, shortened, time_code
from worker.section import Pictures, Section
from worker.video_facts import SequenceFacts, VideosFacts

_SHOWN = 40
_COMMANDS_SHOWN = 12


class Sequences(Section):
    """The first selected sequences, with a command for each."""

    type: Literal["sequences"] = "sequences"
    title: ClassVar[str] = "Sequences and how to cut them out"
    order: ClassVar[int] = 82

    def blocks(self, facts: Facts, pictures: Pictures) -> tuple[Block, ...]:
        """Return the list and the commands; nothing where no frame of a video was selected."""
        del pictures
        found = facts.videos
        if found is None or not found.sequences:
            return ()
        shown = found.sequences[:_SHOWN]
        return (
            Text(_sentence(found, len(shown))),
            Text(
                "Times are timestamps of the video itself, which need not begin at 0; frames are numbered from 0.",
                muted=True,
            ),
            _table(shown),
            Commands(
                caption="Run where the videos lie under their keys (docs/report.md says how to cut straight from a bucket); ffmpeg "
                "5.1 or newer. Each writes all frames from the first to the last, which are more than the samples where not "
                "every frame is a sample.",
                commands=tuple((_label(one), one.cut) for one in shown[:_COMMANDS_SHOWN]),
            ),
        )


def _sentence(found: VideosFacts, shown: int) -> str:
    counts = found.totals.counts
    what = plural(counts.sequences, "frame" if counts.sequences == counts.selected else "sequence")
    if shown == counts.sequences:
        return f"The selection has {what} from videos, here in pick order; sequence_information.json has the same."
    return (
        f"The first {count(shown)} of {what} from videos, in pick order; sequence_information.json has all of them, and "
        f"report.json the commands for the first {count(len(found.sequences))}."
    )


def _table(shown: Sequence[SequenceFacts]) -> Table:
    folder = common_folder([one.video for one in shown])
    several = any(one.frames > 1 for one in shown)
    where = f" below {shortened(folder, 80)}" if folder else ""
    return Table(
        caption=f"Places in the videos{where}.",
        columns=("Pick", "Video", "From", "To", "First frame", "Last frame", "Samples")
        if several
        else ("Pick", "Video", "At", "Frame"),
        rows=tuple(
            (
                count(one.step),
                shortened(one.video.removeprefix(folder), 60),
                *(_span(one) if several else (time_code(one.first_s), _number(one.first_index))),
            )
            for one in shown
        ),
        numeric=(2, 3, 4, 5, 6) if several else (2, 3),
    )


def _span(one: SequenceFacts) -> tuple[str, ...]:
    return (
        time_code(one.first_s),
        time_code(one.last_s),
        _number(one.first_index),
        _number(one.last_index),
        count(one.frames),
    )


def _number(index: int | None) -> str:
    return "unknown" if index is None else count(index)


def _label(one: SequenceFacts) -> str:
    span = time_code(one.first_s) + ("" if one.first == one.last else f" to {time_code(one.last_s)}")
    return f"{count(one.step)}. {shortened(one.video, 60)}, {span}"
