from io import BytesIO

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.videos import Clip, make, picture, shown_index
from worker.media.images import DecodeRequest, looked_at
from worker.video.frame_picture import FramePicture, Scalers

COLOURS = {"red": (200, 30, 30), "green": (30, 180, 60), "blue": (40, 50, 220), "grey": (128, 128, 128)}


def frame_of(
    pixels: NDArray[np.uint8], pixel_format: str, *, matrix: str = "ITU709", full: bool = False
) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
        format=pixel_format, dst_colorspace=matrix, dst_color_range="JPEG" if full else "MPEG"
    )
    frame.colorspace = {"ITU709": 1, "ITU601": 5, "BT2020": 9}[matrix]
    frame.color_range = 2 if full else 1
    return frame


def shown(frame: av.VideoFrame) -> FramePicture:
    return FramePicture(frame, "h264", Scalers())


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("matrix", ["ITU601", "ITU709", "BT2020"])
@pytest.mark.parametrize(
    ("pixel_format", "full"),
    [
        ("yuv420p", False),
        ("yuv422p", False),
        ("yuv444p", False),
        ("yuv420p", True),
        ("yuv420p10le", False),
        ("yuv444p12le", False),
    ],
)
def test_view__colours_come_back(colour: str, matrix: str, pixel_format: str, full: bool) -> None:
    pixels = np.full((64, 96, 3), COLOURS[colour], np.uint8)
    frame = frame_of(pixels, pixel_format, matrix=matrix, full=full)
    for scale in (1, 2, 4):
        view = np.asarray(shown(frame).view(scale)).astype(int)
        assert np.abs(view - COLOURS[colour]).max() <= 4


@pytest.mark.parametrize("pixel_format", ["gbrp", "gray", "rgb24"])
def test_view__formats_that_are_not_yuv(pixel_format: str) -> None:
    pixels = np.repeat(np.arange(96, dtype=np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
        format=pixel_format, dst_color_range="JPEG"
    )
    assert np.abs(np.asarray(shown(frame).view(1)).astype(int) - pixels).max() <= 2


def test_view__is_the_mean_of_the_area() -> None:
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (64, 96, 1), np.uint8).repeat(3, axis=2)
    view = np.asarray(shown(frame_of(pixels, "yuv444p", full=True)).view(4)).astype(float)
    means = pixels.reshape(16, 4, 24, 4, 3).mean(axis=(1, 3))
    assert np.abs(view - means).max() < 2.5


@pytest.mark.parametrize("size", [(101, 67), (96, 64), (33, 17)])
def test_size_at__is_that_of_the_view(size: tuple[int, int]) -> None:
    frame = frame_of(picture(5, size), "yuv444p")
    for scale in (1, 2, 4, 8):
        assert shown(frame).view(scale).size == shown(frame).size_at(scale)


def test_scale_for__as_for_a_jpeg() -> None:
    frame = shown(frame_of(np.zeros((1080, 1920, 3), np.uint8), "yuv420p"))
    assert [frame.scale_for(px) for px in (None, 135, 136, 256, 270, 540, 541)] == [1, 8, 4, 4, 4, 2, 1]


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("flipped", [False, True])
def test_view__is_upright(degrees: int, flipped: bool) -> None:
    with av.open(BytesIO(make(Clip(frames=6, rotation=(degrees, flipped))))) as container:
        last = list(container.decode(video=0))[-1]
    upright = shown(last)
    assert upright.size == (320, 240)
    assert shown_index(np.asarray(upright.view(1))) == 5
    assert shown_index(np.asarray(upright.view(2))) == 5
    expected = np.asarray(Image.fromarray(picture(5)).convert("L").resize((32, 32), Image.Resampling.BOX))
    assert np.abs(upright.signature.astype(int) - expected).mean() < 6


def test_content__is_that_of_the_visible_pixels() -> None:
    pixels = picture(7, (101, 67))
    frame, again = frame_of(pixels, "yuv420p"), frame_of(pixels, "yuv420p")
    assert frame.planes[0].line_size > 101
    padding = np.frombuffer(memoryview(again.planes[0]), np.uint8).reshape(67, -1)
    padding.flags.writeable = True
    padding[:, 101:] = 77
    assert shown(frame).content == shown(again).content
    padding[3, 5] ^= 1
    assert shown(frame).content != shown(again).content
    assert shown(frame_of(pixels, "yuv444p")).content != shown(frame).content


def test_looked_at__as_an_image_is() -> None:
    picture_of_it = shown(frame_of(picture(3), "yuv444p"))
    request = DecodeRequest(measures=("width", "height", "size_in_bytes", "luminance"), image_format="png")
    result = looked_at(picture_of_it, request, 1234)
    assert (result.format, result.width, result.height) == ("h264", 320, 240)
    assert (result.measures["width"], result.measures["size_in_bytes"]) == (320, 1234)
    assert result.image is not None
    assert np.array_equal(np.asarray(Image.open(BytesIO(result.image))), np.asarray(picture_of_it.view(1)))
