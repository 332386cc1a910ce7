import pyarrow as pa
import pytest

from worker.video.sequence_information import sequence_information

SAMPLES = pa.table(
    {
        "sample": [
            "a/v-0-mp4.png",
            "a/v-1-mp4.png",
            "a/v-2-mp4.png",
            "b.jpg",
            "w-pts7-ts.png",
            "w-pts9-ts.png",
        ],
        "source": ["a/v.mp4", "a/v.mp4", "a/v.mp4", "b.jpg", "w.ts", "w.ts"],
        "frame_index": pa.array([0, 1, 2, None, None, None], pa.int64()),
        "pts": pa.array([0, 512, 1024, None, 7, 9], pa.int64()),
        "time_s": pa.array([0.0, 0.5, 1.0, None, 0.7, 0.9], pa.float64()),
    }
)


def test_sequence_information__is_as_lightlyone_writes_it() -> None:
    (entry,) = sequence_information(SAMPLES, [[1, 2]])
    assert entry == {
        "video_name": "a/v.mp4",
        "frame_names": ["a/v-1-mp4.png", "a/v-2-mp4.png"],
        "frame_timestamps_pts": [512, 1024],
        "frame_timestamps_sec": [0.5, 1.0],
        "frame_indices": [1, 2],
    }


def test_sequence_information__says_where_nobody_counted() -> None:
    (entry,) = sequence_information(SAMPLES, [[4, 5]])
    assert entry["frame_indices"] is None
    assert entry["frame_index_known"] is False
    assert entry["frame_timestamps_pts"] == [7, 9]


def test_sequence_information__keeps_the_order_of_the_picks_and_that_of_the_frames() -> None:
    entries = list(sequence_information(SAMPLES, [[5], [3], [2, 0]]))
    assert [entry.get("frame_names") for entry in entries] == [
        ["w-pts9-ts.png"],
        None,
        ["a/v-0-mp4.png", "a/v-2-mp4.png"],
    ]
    assert entries[1] == {"filenames": ["b.jpg"]}


def test_sequence_information__of_many_frames_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    sequences = [[row % 3] for row in range(50)] + [[0, 1, 2]] * 20
    at_once = list(sequence_information(SAMPLES, sequences))
    monkeypatch.setattr("worker.video.sequence_information._FRAMES_AT_A_TIME", 7)
    assert list(sequence_information(SAMPLES, sequences)) == at_once
    assert len(at_once) == 70
    assert list(sequence_information(SAMPLES, [])) == []
