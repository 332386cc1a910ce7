"""Facts of made-up videos, for the tests of the report."""

import pyarrow as pa

from worker.analysis.videos import video_facts
from worker.facts import Facts
from worker.video.tally import VideoRead
from worker.video_facts import VideosFacts

FRAMES = 10


def made_videos(
    count: int,
    *,
    length: int = 1,
    each: int = FRAMES,
    duration_s: float = 5.0,
    pictured: tuple[str, ...] = (),
) -> VideosFacts:
    """Return `count` videos of `each` sampled frames, the first `length` of each being a selected sequence.

    The last one is damaged and nobody counted its frames; every third is four times as long as the others.
    """
    keys = [f"day/cam {at % 2}/{at:03d}.mp4" for at in range(count)]
    durations = [duration_s * (4 if at % 3 == 2 else 1) for at in range(count)]
    last = keys[-1]
    rows = [
        (key, frame, frame * long / each)
        for key, long in zip(keys, durations, strict=True)
        for frame in range(each)
    ]
    samples = pa.table(
        {
            "sample": [f"{key[:-4]}-{frame:04d}-mp4.png" for key, frame, _ in rows],
            "source": [key for key, _, _ in rows],
            "stream": [0] * len(rows),
            "frame_index": pa.array([None if key == last else frame for key, frame, _ in rows], pa.int64()),
            "pts": [round(time_s * 90_000) for _, _, time_s in rows],
            "time_s": [time_s for _, _, time_s in rows],
            "width": [64] * len(rows),
            "height": [48] * len(rows),
        }
    )
    read = {
        key: VideoRead(None if key == last else each, long, each + 2, 2, 0, ())
        for key, long in zip(keys, durations, strict=True)
    }
    read[last] = VideoRead(None, durations[-1], each + 2, 1, 1, (("frames_missing", "3 of 13 <frames>"),))
    found = video_facts(
        samples,
        read,
        sequences=[list(range(at * each, at * each + length)) for at in range(count)],
        duplicates={},
        pictured=pictured,
    )
    assert found is not None
    return found


def with_videos(facts: Facts, videos: VideosFacts) -> Facts:
    """Return facts that name these videos, with counts that fit them."""
    counts = facts.counts.model_copy(
        update={"near_identical": videos.totals.counts.near_identical, "damaged": videos.totals.faulty}
    )
    return facts.model_copy(update={"videos": videos, "counts": counts})
