import numpy as np
import pytest
from PIL import Image

from worker.media.preprocessing import Preprocessing


def picture(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_pixels__keeps_the_aspect_and_cuts_the_centre() -> None:
    image = picture(80, 40)
    expected = np.asarray(image.resize((40, 20), Image.Resampling.BICUBIC).crop((12, 2, 28, 18)))
    assert np.array_equal(Preprocessing(resize=20, crop=16).pixels(image), expected)


def test_pixels__squashes_to_a_square() -> None:
    image = picture(80, 40)
    expected = np.asarray(image.resize((16, 16), Image.Resampling.BILINEAR))
    way = Preprocessing(resize=16, crop=16, keep_aspect=False, interpolation="bilinear")
    assert np.array_equal(way.pixels(image), expected)


def test_pixels__pads_with_black() -> None:
    pixels = Preprocessing(resize=10, crop=14).pixels(Image.new("RGB", (30, 30), "white"))
    assert pixels.shape == (14, 14, 3)
    assert pixels[2:12, 2:12].min() == 255
    assert pixels.sum() == 10 * 10 * 3 * 255


@pytest.mark.parametrize("size", [(40_000, 1), (1, 40_000), (4000, 2), (1, 1)])
@pytest.mark.parametrize(("resize", "crop"), [(256, 224), (4, 64)])
def test_pixels__of_any_shape_in_bounded_memory(size: tuple[int, int], resize: int, crop: int) -> None:
    pixels = Preprocessing(resize=resize, crop=crop).pixels(Image.new("RGB", size, "white"))
    assert pixels.shape == (crop, crop, 3)
    assert pixels[crop // 2, crop // 2].tolist() == [255, 255, 255]


def test_pixels__of_a_strip_are_those_of_its_centre() -> None:
    image = picture(400, 20)
    way = Preprocessing(resize=20, crop=20)
    whole = np.asarray(image.crop((190, 0, 210, 20)))
    assert np.array_equal(way.pixels(image), whole)


def test_view_px__leaves_a_margin() -> None:
    assert Preprocessing(resize=256, crop=224).view_px == 384
    assert Preprocessing(resize=225, crop=224).view_px == 338
