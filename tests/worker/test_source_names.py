import pytest

from worker.source_names import camera, day, extension, folder, video_name


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("samples/CAM_FRONT/n015-2018-07-24-11-22-45+0800__CAM_FRONT__1532402927612460.jpg", "CAM_FRONT"),
        ("samples/CAM_BACK_LEFT/1.jpg", "CAM_BACK_LEFT"),
        ("drive/cam-2/a.mp4", "cam-2"),
        ("cam02/a.mp4", "cam02"),
        ("Camera 3/a.png", "Camera 3"),
        ("camera_left/cam_000123.jpg", "camera_left"),
        ("camera_left/camera_right/a.jpg", "camera_right"),
        ("x/frontCam.mp4", "frontCam"),
        ("x/camLeft.mp4", "camLeft"),
        ("20260114_front_cam_120000.mp4", "front_cam"),
        ("rear-camera/a.mp4", "rear-camera"),
        ("cam/a.mp4", None),
        ("campus/camping/CAMPUS/cameraman/webcam/a.jpg", None),
        ("front/a.mp4", None),
    ],
)
def test_camera__is_a_run_of_words_around_cam(source, expected):
    assert camera(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("2026-01-14/a.mp4", "2026-01-14"),
        ("x/2026_01_14T1200.mp4", "2026-01-14"),
        ("x/20260114_120000.mp4", "2026-01-14"),
        ("2026_02_30/20240229-1.mp4", "2024-02-29"),
        ("1969-12-31/2099-12-31.mp4", "2099-12-31"),
        ("1970-01-01/2026-01-14.mp4", "1970-01-01"),
        ("2026-01_14/a.mp4", None),
        ("120260114/202601141200.mp4", None),
        ("2023-02-29/a.mp4", None),
        ("a.mp4", None),
    ],
)
def test_day__is_the_first_real_date(source, expected):
    assert day(source) == expected


def test_names__of_videos_and_images():
    assert (folder("a/b/c.MP4"), extension("a/b/c.MP4"), video_name("a/b/c.MP4")) == (
        "a/b",
        "mp4",
        "a/b/c.MP4",
    )
    assert (folder("c.png"), extension("c.png"), video_name("c.png")) == (".", "png", None)
