"""What a report says of videos."""

from typing import Self

from pydantic import Field, model_validator

from worker.fact import Count, Fact, Name


class FrameFacts(Fact):
    """Where a frame lies in its video."""

    video: Name
    pts: int = Field(description="timestamp in units of the stream's time base")
    time_s: float = Field(description="timestamp in seconds")
    frame_index: Count | None = Field(description="frames displayed before it; null where nobody counted")


class VideoFault(Fact):
    """What is wrong with a video whose good frames were kept."""

    reason: str
    detail: str


class FrameCounts(Fact):
    """What became of the frames of one video, or of several together."""

    sampled: Count = Field(description="frames that the job asked for")
    lost: Count = Field(description="of these: could not be decoded")
    near_identical: Count = Field(description="of these: look like the one kept before; never embedded")
    duplicates: Count = Field(
        description="of these: same picture as another sample, or as one in the datapool"
    )
    pool: Count = Field(description="of these: looked at by the selection")
    selected: Count
    sequences: Count = Field(description="selected sequences; a frame selected by itself is one")


class Timeline(Fact):
    """When the selected frames of a video are displayed."""

    start_s: float = Field(description="timestamp of the first frame in the pool; 0 without any")
    end_s: float = Field(
        description="start_s and the duration, or the last frame in the pool if that is later"
    )
    selected_s: tuple[float, ...] = Field(
        description="timestamps of the selected frames, to a millisecond; empty beyond 100, where only the bins tell"
    )
    bins: tuple[Count, ...] = Field(
        description="selected frames in 60 equal parts from start_s to end_s; empty where none is selected"
    )


class VideoFacts(Fact):
    """One video."""

    name: Name = Field(description="its key")
    duration_s: float | None = Field(ge=0, description="as the file says; null where it does not")
    frames: Count | None = Field(description="in the whole video; null where nobody counted")
    counts: FrameCounts
    faults: tuple[VideoFault, ...] = Field(description="at most 5")
    timeline: Timeline


class VideoTotals(Fact):
    """All videos together, also those that are not listed."""

    videos: Count
    selected_from: Count = Field(description="videos with a selected frame")
    faulty: Count = Field(description="videos with a fault")
    only_duplicates: Count = Field(description="videos of which nothing but duplicates is left")
    duration_s: float = Field(ge=0, description="sum of the durations that are known")
    undated: Count = Field(description="videos that do not say how long they are")
    frames: Count = Field(description="sum over the videos whose frames are counted")
    uncounted: Count = Field(description="videos whose frames nobody counted")
    counts: FrameCounts


class SequenceFacts(Fact):
    """A selected sequence of frames, or a single frame, of one video."""

    step: int = Field(ge=1, description="1-based place in the order in which sequences were picked")
    video: Name
    frames: int = Field(ge=1, description="selected frames in it")
    first: Name = Field(description="sample name of the first frame")
    last: Name
    first_pts: int
    last_pts: int
    first_s: float
    last_s: float
    first_index: Count | None = Field(description="null where nobody counted the frames")
    last_index: Count | None
    cut: str = Field(
        description="shell command for ffmpeg 5.1 and newer that writes all frames from the first to the last"
    )


class VideosFacts(Fact):
    """Every video of a job; lists are bounded, totals are not."""

    totals: VideoTotals
    videos: tuple[VideoFacts, ...] = Field(
        description="in key order; at most 500, those with the most selected frames, then those with faults"
    )
    sequences: tuple[SequenceFacts, ...] = Field(description="in pick order; the first 200")
    frames: dict[Name, FrameFacts] = Field(description="the frames among the samples that the report shows")

    @model_validator(mode="after")
    def _no_more_than_all(self) -> Self:
        counts = self.totals.counts
        if len(self.videos) > self.totals.videos or len(self.sequences) > counts.sequences:
            raise ValueError("more videos or sequences are listed than there are")
        return self
