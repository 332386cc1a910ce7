"""Each measure against values worked out by hand or by another library's route."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageFilter, ImageStat

from worker.measure import Image
from worker.measures.contrast import Contrast
from worker.measures.height import Height
from worker.measures.luminance import Luminance
from worker.measures.mean_blue import MeanBlue
from worker.measures.mean_green import MeanGreen
from worker.measures.mean_red import MeanRed
from worker.measures.perceptual_hash import PerceptualHash
from worker.measures.sharpness import Sharpness
from worker.measures.size_in_bytes import SizeInBytes
from worker.measures.snr import Snr
from worker.measures.uniform_row_ratio import UniformRowRatio
from worker.measures.width import Width


def of(pixels: NDArray[np.uint8]) -> Image:
    return Image(pixels, 640, 480, 98765)


def plain(red: int, green: int, blue: int) -> Image:
    return of(np.full((10, 12, 3), (red, green, blue), np.uint8))


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)


def half_and_half() -> Image:
    pixels = np.zeros((10, 12, 3), np.uint8)
    pixels[:, 6:] = 255
    return of(pixels)


def test_facts__are_the_original_s() -> None:
    image = plain(0, 0, 0)
    assert (Width().of(image), Height().of(image), SizeInBytes().of(image)) == (640, 480, 98765)


def test_means__one_channel_each() -> None:
    image = plain(255, 51, 0)
    assert (MeanRed().of(image), MeanGreen().of(image), MeanBlue().of(image)) == (1.0, 0.2, 0.0)


@pytest.mark.parametrize(("height", "width"), [(40, 60), (1100, 1000), (2, 50), (50, 1)])
def test_sharpness__is_that_of_pillow_s_filter(height: int, width: int) -> None:
    pixels = noise(height, width)
    kernel = ImageFilter.Kernel((3, 3), (-1, -1, -1, -1, 8, -1, -1, -1, -1), 1, 0)
    expected = np.std(np.asarray(PillowImage.fromarray(pixels).convert("L").filter(kernel)))
    assert Sharpness().of(of(pixels)) == pytest.approx(expected, rel=1e-12)


def test_sharpness__of_one_bright_pixel() -> None:
    pixels = np.zeros((5, 5, 3), np.uint8)
    pixels[2, 2] = 10
    # The response is 80 at one of 25 pixels; its neighbours' -10 counts as 0.
    assert Sharpness().of(of(pixels)) == pytest.approx(np.std([80] + 24 * [0]))


def test_snr__is_mean_over_std_of_all_values() -> None:
    pixels = noise(30, 40)
    assert Snr().of(of(pixels)) == pytest.approx(pixels.mean() / pixels.std(), rel=1e-12)
    assert Snr().of(plain(9, 9, 9)) == 0.0


def test_contrast__of_half_black_half_white() -> None:
    assert Contrast().of(half_and_half()) == 0.5
    assert Contrast().of(plain(80, 80, 80)) == 0.0


def test_contrast__is_the_std_of_the_luma() -> None:
    pixels = noise(30, 40)
    luma = ImageStat.Stat(PillowImage.fromarray(pixels).convert("L"))
    assert Contrast().of(of(pixels)) == pytest.approx(luma.stddev[0] / 255)


@pytest.mark.parametrize(
    ("colour", "lightness"),
    [
        ((0, 0, 0), 0.0),
        ((255, 255, 255), 100.0),
        ((119, 119, 119), 50.03),
        ((255, 0, 0), 53.24),
        ((5, 5, 5), 1.37),
    ],
)
def test_luminance__is_cie_lightness(colour: tuple[int, int, int], lightness: float) -> None:
    assert Luminance().of(plain(*colour)) == pytest.approx(lightness, abs=0.03)


def test_uniform_row_ratio__counts_blank_rows() -> None:
    pixels = noise(102, 50)
    pixels[51:] = 128
    # 100 rows have a neighbourhood; those of rows 52 to 100 are blank all round.
    assert UniformRowRatio().of(of(pixels)) == 49 / 100


def test_uniform_row_ratio__tolerates_three_in_a_hundred() -> None:
    pixels = np.full((3, 202, 3), 128, np.uint8)
    pixels[:, 10] = 200
    assert UniformRowRatio().of(of(pixels)) == 1.0  # 3 of 200 pixels
    pixels[:, 30] = 200
    pixels[:, 50] = 200
    assert UniformRowRatio().of(of(pixels)) == 0.0  # 9 of 200


def test_uniform_row_ratio__response_of_5_is_not_flat() -> None:
    pixels = np.full((3, 3, 3), 128, np.uint8)
    pixels[0, 0] = 124
    assert UniformRowRatio().of(of(pixels)) == 1.0
    pixels[0, 0] = 123
    assert UniformRowRatio().of(of(pixels)) == 0.0


def test_uniform_row_ratio__shrinks_tall_pictures() -> None:
    rows = np.arange(800) // 400 * 255
    pixels = np.broadcast_to(rows[:, None, None], (800, 10, 3)).astype(np.uint8)
    # 400 rows, 398 with a neighbourhood, and the step disturbs the two that touch it.
    assert UniformRowRatio().of(of(pixels)) == 396 / 398


def test_perceptual_hash__one_bit_for_each_fall_to_the_right() -> None:
    falling = np.broadcast_to(np.arange(224, -1, -28, dtype=np.uint8)[None, :, None], (8, 9, 3))
    assert PerceptualHash().of(of(falling)) == "f" * 16
    assert PerceptualHash().of(of(falling[:, ::-1])) == "0" * 16


def test_perceptual_hash__survives_scaling() -> None:
    small = PillowImage.fromarray(noise(8, 9))
    large = small.resize((360, 320), PillowImage.Resampling.BICUBIC)
    larger = small.resize((540, 480), PillowImage.Resampling.BICUBIC)
    first, second = (int(PerceptualHash().of(of(np.asarray(picture))), 16) for picture in (large, larger))
    assert (first ^ second).bit_count() <= 2
