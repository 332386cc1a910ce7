import numpy as np
import pyarrow as pa
import pytest

from worker.analysis import videos
from worker.analysis.videos import video_facts
from worker.video.tally import VideoRead
from worker.video_facts import VideosFacts

NIGHT, DAY = "day/a.mp4", "day/b.ts"
READ = {
    DAY: VideoRead(None, 4.0, 3, 0, 0, (("truncated", "ends early"),)),
    NIGHT: VideoRead(40, 10.0, 8, 2, 1, ()),
}


def table(rows: list[tuple[str, str, int | None, int | None, float | None]]) -> pa.Table:
    names = ("sample", "source", "frame_index", "pts", "time_s")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    return pa.table(
        {
            "sample": pa.array(columns["sample"], pa.string()),
            "source": pa.array(columns["source"], pa.string()),
            "stream": pa.array([None if pts is None else 1 for pts in columns["pts"]], pa.int32()),
            "frame_index": pa.array(columns["frame_index"], pa.int64()),
            "pts": pa.array(columns["pts"], pa.int64()),
            "time_s": pa.array(columns["time_s"], pa.float64()),
            "width": [640] * len(rows),
            "height": [480] * len(rows),
        }
    )


SAMPLES = table(
    [
        ("day/a-00-mp4.png", NIGHT, 0, 0, 0.0),
        ("day/a-10-mp4.png", NIGHT, 10, 1000, 2.5),
        ("day/a-11-mp4.png", NIGHT, 11, 1100, 2.75),
        ("day/a-39-mp4.png", NIGHT, 39, 3900, 9.75),
        ("day/b-pts900-ts.png", DAY, None, 900, 100.0),
        ("day/b-pts903-ts.png", DAY, None, 903, 103.0),
        ("photo.jpg", "photo.jpg", None, None, None),
    ]
)
DUPLICATES = {"day/a-20-mp4.png": "day/a-00-mp4.png", "copy.jpg": "photo.jpg", "gone-1-mp4.png": "photo.jpg"}


def found(sequences: list[list[int]], **more: object) -> VideosFacts:
    given = {"duplicates": DUPLICATES, "pictured": ["photo.jpg", "day/b-pts903-ts.png", "kept earlier"]}
    facts = video_facts(SAMPLES, READ, sequences=sequences, **given | more)
    assert facts is not None
    return facts


def test_video_facts__of_no_video_are_none() -> None:
    assert video_facts(SAMPLES, {}, sequences=[], duplicates={}, pictured=[]) is None


def test_video_facts__count_every_video_and_all() -> None:
    facts = found([[2, 1], [6], [5]])
    night, day = facts.videos
    assert (night.name, day.name) == (NIGHT, DAY)
    assert night.counts.model_dump() == {
        "sampled": 8,
        "lost": 1,
        "near_identical": 2,
        "duplicates": 1,
        "pool": 4,
        "selected": 2,
        "sequences": 1,
    }
    assert day.counts.selected == day.counts.sequences == 1
    assert day.faults[0].reason == "truncated"
    assert (day.frames, night.frames) == (None, 40)
    totals = facts.totals
    assert (totals.videos, totals.selected_from, totals.faulty, totals.only_duplicates) == (2, 2, 1, 0)
    assert (totals.frames, totals.uncounted, totals.duration_s) == (40, 1, 14.0)
    assert totals.counts.model_dump() == {
        "sampled": 11,
        "lost": 1,
        "near_identical": 2,
        "duplicates": 1,
        "pool": 6,
        "selected": 3,
        "sequences": 2,
    }


def test_video_facts__timelines_run_from_the_first_frame_over_the_duration() -> None:
    night, day = (one.timeline for one in found([[1], [3], [5]]).videos)
    assert (night.start_s, night.end_s, night.selected_s) == (0.0, 10.0, (2.5, 9.75))
    assert [(at, number) for at, number in enumerate(night.bins) if number] == [(15, 1), (58, 1)]
    assert (day.start_s, day.end_s, day.selected_s) == (100.0, 104.0, (103.0,))
    assert np.flatnonzero(day.bins).tolist() == [45]


def test_video_facts__without_a_selection_have_empty_timelines() -> None:
    facts = found([])
    assert facts.sequences == ()
    assert all(one.timeline.bins == one.timeline.selected_s == () for one in facts.videos)


def test_video_facts__sequences_say_where_they_are_and_how_to_cut_them() -> None:
    first, single = found([[2, 1], [6], [5]]).sequences
    assert (first.step, first.frames, first.first, first.last) == (
        1,
        2,
        "day/a-10-mp4.png",
        "day/a-11-mp4.png",
    )
    assert (first.first_pts, first.last_pts, first.first_s, first.last_s) == (1000, 1100, 2.5, 2.75)
    assert (first.first_index, first.last_index) == (10, 11)
    assert "-map 0:1 -vf trim=start_pts=1000:end_pts=1101,setpts=PTS-STARTPTS" in first.cut
    assert first.cut.endswith("./day_a-10-mp4-to-11.mp4")
    assert (single.step, single.frames, single.first_index) == (3, 1, None)
    assert single.cut.endswith("./day_b-pts903-ts.png")


def test_video_facts__cut_untimed_streams_by_counting() -> None:
    (sequence,) = found([[4, 5]], untimed=[DAY]).sequences
    assert "trim=start_frame=900:end_frame=904" in sequence.cut


def test_video_facts__place_the_frames_that_are_shown() -> None:
    frames = found([]).frames
    assert list(frames) == ["day/b-pts903-ts.png"]
    assert frames["day/b-pts903-ts.png"].model_dump() == {
        "video": DAY,
        "pts": 903,
        "time_s": 103.0,
        "frame_index": None,
    }


def test_video_facts__a_video_without_a_frame_in_the_pool_is_listed() -> None:
    read = {"x.mp4": VideoRead(3, None, 3, 0, 2, ()), **READ}
    duplicates = {"x-1-mp4.png": "day/a-00-mp4.png"}
    facts = video_facts(SAMPLES, read, sequences=[[0]], duplicates=duplicates, pictured=[])
    assert facts is not None
    (gone,) = [one for one in facts.videos if one.name == "x.mp4"]
    assert (gone.counts.pool, gone.counts.duplicates, gone.counts.lost, gone.duration_s) == (0, 1, 2, None)
    assert (gone.timeline.start_s, gone.timeline.end_s) == (0.0, 0.0)
    assert facts.totals.only_duplicates == 1


def test_video_facts__are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    count, each = 30, 20
    keys = [f"{at:02d}.mp4" for at in range(count)]
    rows = [
        (f"{key[:2]}-{frame:02d}-mp4.png", key, frame, frame, frame / 10)
        for key in keys
        for frame in range(each)
    ]
    faults = tuple(("corrupt", f"number {at}") for at in range(9))
    read = {key: VideoRead(each, 2.0, each, 0, 0, faults if key == "29.mp4" else ()) for key in keys}
    for name, bound in (("VIDEOS", 4), ("SEQUENCES", 3), ("POINTS", 2)):
        monkeypatch.setattr(videos, name, bound)
    picks = [5 * each, 5 * each + 1, 5 * each + 9, 2 * each, 2 * each + 3]
    facts = video_facts(table(rows), read, sequences=[[row] for row in picks], duplicates={}, pictured=[])
    assert facts is not None
    assert [one.name for one in facts.videos] == ["00.mp4", "02.mp4", "05.mp4", "29.mp4"]
    assert facts.totals.videos == 30
    assert facts.totals.counts.sequences == 5
    assert len(facts.sequences) == 3
    assert len(facts.videos[3].faults) == videos.FAULTS
    assert facts.videos[1].timeline.selected_s == (0.0, 0.3)
    assert facts.videos[2].timeline.selected_s == ()
    assert sum(facts.videos[2].timeline.bins) == 3


def test_video_facts__survive_json() -> None:
    facts = found([[2, 1], [6], [5]])
    assert VideosFacts.model_validate_json(facts.model_dump_json()) == facts
