from io import BytesIO

import numpy as np
from PIL import Image

from worker.media.thumbnails import thumbnail


def opened(body: bytes) -> Image.Image:
    image = Image.open(BytesIO(body), formats=["JPEG"])
    image.load()
    return image


def test_thumbnail__fits_the_long_side() -> None:
    assert opened(thumbnail(Image.new("RGB", (600, 400)), long_px=150, blur=False)).size == (150, 100)
    assert opened(thumbnail(Image.new("RGB", (4000, 2)), long_px=150, blur=False)).size == (150, 1)


def test_thumbnail__enlarges_nothing() -> None:
    assert opened(thumbnail(Image.new("RGB", (30, 20)), long_px=150, blur=False)).size == (30, 20)


def test_thumbnail__blurred_keeps_colour_and_loses_detail() -> None:
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[:, ::4] = stripes[:, 1::4] = (255, 0, 0)
    image = Image.fromarray(stripes)
    sharp = np.asarray(opened(thumbnail(image, long_px=128, blur=False)), np.float64)
    blurred = np.asarray(opened(thumbnail(image, long_px=128, blur=True)), np.float64)
    assert sharp[..., 0].std() > 60
    assert blurred[..., 0].std() < 3
    assert abs(blurred[..., 0].mean() - 127) < 5
