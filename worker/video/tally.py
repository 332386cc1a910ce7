"""What became of one video."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.samples import LeftOut, SkipReason


@dataclass(frozen=True, slots=True)
class VideoRead:
    """One video after all its segments were read.

    `frames` is how many it has and `duration_s` how long it says to be, None where unknown. `sampled` frames were asked
    for; `near_identical` of them look like the one before, and `lost` could not be decoded. `faults` are pairs of a reason
    and a line for a person. `timed` is False where the pts of frames are their displayed indices.
    """

    frames: int | None
    duration_s: float | None
    sampled: int
    near_identical: int
    lost: int
    faults: tuple[tuple[str, str], ...]
    timed: bool = True

    @property
    def has_good_times(self) -> bool:
        """Whether each frame has a timestamp of its own in the file."""
        return self.timed and all(reason != SkipReason.BAD_TIMESTAMPS.value for reason, _ in self.faults)


@dataclass(slots=True)
class VideoTally:
    """Counts what the segments of one video gave."""

    frames: int | None = None
    duration_s: float | None = None
    timed: bool = True
    sampled: int = 0
    near_identical: int = 0
    faults: dict[tuple[str, str], None] = field(default_factory=dict)
    lost: dict[str, list[str]] = field(default_factory=dict)
    """By reason, the details of the frames that were lost, in displayed order."""

    @property
    def gave_frames(self) -> bool:
        """Whether a frame could be read."""
        return self.sampled > sum(len(details) for details in self.lost.values())

    def told(self, about: Mapping[str, Any]) -> None:
        """Take what a chunk tells of the video, or of a segment of it."""
        self.frames, self.duration_s, self.timed = about["frames"], about["duration_s"], about["timed"]
        self.faults |= dict.fromkeys((reason, detail) for reason, detail in about["faults"])

    def count(self, reason: str | None, detail: str) -> None:
        """Take one sampled frame, and why it is left out, if it is."""
        self.sampled += 1
        if reason == SkipReason.NEAR_IDENTICAL.value:
            self.near_identical += 1
        elif reason is not None:
            self.lost.setdefault(reason, []).append(detail)

    def read(self) -> VideoRead:
        """Return the sums."""
        lost = [
            (reason, f"{len(details):,} of {self.sampled:,} sampled frames lost: {details[0]}")
            for reason, details in self.lost.items()
        ]
        return VideoRead(
            frames=self.frames,
            duration_s=self.duration_s,
            sampled=self.sampled,
            near_identical=self.near_identical,
            lost=sum(len(details) for details in self.lost.values()),
            faults=(*self.faults, *lost),
            timed=self.timed,
        )


def told(key: str, video: VideoRead) -> LeftOut:
    """Say in one line what is wrong with a video, under a reason that may pass, else under the first one."""
    if not video.faults:
        return LeftOut(key, SkipReason.NO_FRAMES.value, "none of its frames was sampled")
    reasons = [reason for reason, _ in video.faults]
    passing = [reason for reason in reasons if SkipReason(reason).volatile]
    return LeftOut(key, (passing or reasons)[0], "; ".join(detail for _, detail in video.faults))
