"""Any picture that Pillow opens to 8-bit RGB.

Transparency is laid on white, the page that most such pictures were drawn for. Embedded ICC profiles are not applied.
16-bit colour keeps its high byte. 16-bit grey is scaled by the smallest power of two that holds the picture's largest
value: nothing is clipped, and what a 12-bit sensor stored in 16 bits does not come out black. A PGM states its range,
which is used. 32-bit integers and floats have no range of their own, so each picture's smallest finite value becomes
black and its largest white.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, TiffImagePlugin

from worker.media.tones import row_bands

_PHOTOMETRIC = 262


def to_rgb(image: Image.Image) -> Image.Image:
    """Return a loaded picture as mode RGB, without its metadata (EXIF, comments, profiles)."""
    rgb = _converted(image)
    if rgb is image:
        rgb = image.copy()
    rgb.info = {}
    return rgb


def _converted(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode in {"I", "F"}:
        return Image.fromarray(_eight_bits(image)).convert("RGB")
    if image.has_transparency_data:
        return _on_white(image.convert("RGBA"))
    if image.mode == "LAB":
        return _from_lab(image)
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> NDArray[np.uint8]:
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        unused = max(8, int(values.max()).bit_length()) - 8
        grey = (values >> unused).astype(np.uint8)
    elif image.format == "PPM" and image.mode == "I":
        grey = (np.clip(values, 0, 65535) >> 8).astype(np.uint8)
    else:
        grey = _stretched(values)
    # Pillow turns 8-bit pictures of "white is zero" round, but leaves these as they are.
    return 255 - grey if _tag(image, _PHOTOMETRIC) == 0 else grey


def _stretched(values: NDArray[np.float32 | np.int32]) -> NDArray[np.uint8]:
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(values.shape, np.uint8)
    low = np.float64(values.min(where=finite, initial=values[finite][0]))
    high = np.float64(values.max(where=finite, initial=values[finite][0]))
    if high == low:
        return np.zeros(values.shape, np.uint8)
    grey = np.zeros(values.shape, np.uint8)
    for rows in row_bands(*values.shape):
        shares = (values[rows].astype(np.float64) - low) / (high - low)
        grey[rows] = np.rint(255 * np.where(finite[rows], shares, 0.0))
    return grey


def _on_white(image: Image.Image) -> Image.Image:
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(image.convert("RGB"), mask=image.getchannel("A"))
    return canvas


def _from_lab(image: Image.Image) -> Image.Image:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    assert converted is not None  # only an in-place conversion returns nothing  # noqa: S101
    return converted


def _tag(image: Image.Image, number: int) -> int | None:
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return None
    value = image.tag_v2.get(number)
    return int(value[0] if isinstance(value, tuple) else value) if value is not None else None
