"""Small JPEGs for a report."""

from io import BytesIO

from PIL import Image

_QUALITY = 82
_BLURRED_PX = 16


def thumbnail(image: Image.Image, *, long_px: int, blur: bool) -> bytes:
    """Return an RGB picture as a JPEG whose long side is at most `long_px`; nothing is enlarged.

    With `blur`, colours and layout survive, but no face, text or number plate: all detail beyond 16 pixels along
    the long side is gone before the file is written.
    """
    small = image.resize(_fitted(image.size, long_px), Image.Resampling.BICUBIC)
    if blur:
        tiny = small.resize(_fitted(small.size, _BLURRED_PX), Image.Resampling.BOX)
        small = tiny.resize(small.size, Image.Resampling.BICUBIC)
    file = BytesIO()
    small.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def _fitted(size: tuple[int, int], long_px: int) -> tuple[int, int]:
    width, height = size
    long = max(size)
    if long <= long_px:
        return size
    return max(1, round(width * long_px / long)), max(1, round(height * long_px / long))
