"""What frames are called."""

import pytest

from worker.video.names import frame_name, source_of, video_of


@pytest.mark.parametrize(
    ("key", "index", "frames", "name"),
    [
        ("sub/video_1.mp4", 99, 200, "sub/video_1-099-mp4.png"),
        ("a.b/v.MOV", 0, 1, "a.b/v-0-MOV.png"),
        ("v.mkv", 1000, 1001, "v-1000-mkv.png"),
        ("v.mkv", None, None, "v-ptsm42-mkv.png"),
    ],
)
def test_frame_name__as_lightlyone_has_it(key: str, index: int | None, frames: int | None, name: str) -> None:
    assert frame_name(key, index=index, pts=-42, frames=frames) == name
    assert video_of(name) == key


def test_video_of__other_names_are_no_frames() -> None:
    assert [video_of(name) for name in ("a.png", "a-1.png", "a-x-mp4.png", "a-1-mp4.jpg")] == [None] * 4


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ("sub/video_1-099-mp4.png", "sub/video_1.mp4"),
        ("sub/video-1-2-mp4.png", "sub/video-1.mp4"),
        ("a-pts77-mkv.png", "a.mkv"),
        ("a-ptsm77-mkv.png", "a.mkv"),
        ("a-3-jpg.png", "a-3-jpg.png"),
        ("sub/a.jpg", "sub/a.jpg"),
    ],
)
def test_source_of__a_frame_is_its_video(sample, expected):
    assert source_of(sample) == expected
