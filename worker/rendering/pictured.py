"""The picture of a sample, with what the facts know of it."""

from worker.blocks import Picture
from worker.facts import Facts
from worker.rendering.text import count, time_code
from worker.section import Pictures
from worker.video_facts import FrameFacts


def pictured(facts: Facts, pictures: Pictures, sample: str, note: str = "") -> Picture:
    """Return a sample as a block shows it; a frame with its time code and its number, counted from 0."""
    frame = facts.videos.frames.get(sample) if facts.videos else None
    return Picture(sample, pictures.get(sample), note, _moment(frame) if frame else "")


def _moment(frame: FrameFacts) -> str:
    number = "" if frame.frame_index is None else f", frame\u00a0{count(frame.frame_index)}"
    return f"{time_code(frame.time_s)}{number}"
