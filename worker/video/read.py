"""What became of one video."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VideoRead:
    """One video after all its segments were read.

    `frames` is how many it has and `duration_s` how long it says to be, None where unknown. `sampled` frames were asked
    for; `near_identical` of them look like the one before, and `lost` could not be decoded. `faults` are pairs of a reason
    and a line for a person.
    """

    frames: int | None
    duration_s: float | None
    sampled: int
    near_identical: int
    lost: int
    faults: tuple[tuple[str, str], ...]
