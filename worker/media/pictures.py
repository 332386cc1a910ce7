"""One body opened as a picture, and looked at in the sizes that a JPEG can be decoded to."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from io import BytesIO

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from worker.media.colour import to_rgb
from worker.media.formats import FORMATS, Format, format_of
from worker.samples import SkipReason

# The classes, not `Image.open`: it would import every plug-in that Pillow has as soon as one body is broken.
_PLUGINS: dict[Format, type[ImageFile.ImageFile]] = {
    "jpeg": JpegImagePlugin.JpegImageFile,
    "png": PngImagePlugin.PngImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "tiff": TiffImagePlugin.TiffImageFile,
    "ppm": PpmImagePlugin.PpmImageFile,
    "gif": GifImagePlugin.GifImageFile,
}
_ORIENTATION = 0x0112
_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_JPEG_END = b"\xff\xd9"


class Unreadable(Exception):
    """This body gives no picture: why, as a code and as one line."""

    def __init__(self, reason: SkipReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Picture:
    """The first picture in a body. Opening reads the header alone and checks its size against `max_pixels`.

    Raises Unreadable, from here and from `view`.
    """

    def __init__(self, body: bytes, *, max_pixels: int) -> None:
        self.format = _decodable(body)
        self._body = body
        self._max_pixels = max_pixels
        self._views: dict[int, Image.Image] = {}
        with self._pillow():
            self._stored_size = _opened(body, self.format).size
        width, height = self._stored_size
        if width * height > max_pixels:
            raise _too_many_pixels(f"{width} x {height} = {width * height}", max_pixels)
        self.size = self._stored_size
        """Width and height in pixels; after orientation once there was a view."""

    def scale_for(self, short_px: int | None) -> int:
        """Return the largest of 1, 2, 4, 8 by which a decode can shrink this and keep that short side; None: 1."""
        return shrinking(self._stored_size, short_px) if self.format == "jpeg" else 1

    def size_at(self, scale: int) -> tuple[int, int]:
        """Return the size of that view."""
        return -(-self.size[0] // scale), -(-self.size[1] // scale)

    def view(self, scale: int) -> Image.Image:
        """Return the picture as RGB, upright, decoded at 1/scale of its size."""
        if scale not in self._views:
            with self._pillow():
                self._views[scale] = self._decoded(scale)
        return self._views[scale]

    def _decoded(self, scale: int) -> Image.Image:
        try:
            image = _loaded(_opened(self._body, self.format), scale)
        except OSError as error:
            if self.format != "jpeg" or not _is_truncation(error) or not _lacks_only_its_end(self._body):
                raise
            self._body += _JPEG_END
            image = _loaded(_opened(self._body, self.format), scale)
        orientation = _orientation(image)
        upright = to_rgb(image)
        if orientation in _TRANSPOSES:
            upright = upright.transpose(_TRANSPOSES[orientation])
        if scale == 1:
            self.size = upright.size
        elif orientation >= 5:
            self.size = self._stored_size[::-1]
        return upright

    @contextmanager
    def _pillow(self) -> Iterator[None]:
        """Set Pillow's process-wide switches for the time being, and turn what it raises into Unreadable.

        Its own guard against bombs is not to be stricter than `max_pixels`, and it warns where nobody reads.
        """
        guard = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = max(guard or 0, (self._max_pixels + 1) // 2)  # Pillow raises at twice this
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        except Image.DecompressionBombError as error:
            count = re.search(r"\d+", str(error))
            raise _too_many_pixels(count[0] if count else "too many", self._max_pixels) from error
        except MemoryError:
            raise
        except Exception as error:  # a hostile body makes Pillow raise nearly anything
            raise Unreadable(self._reason(error), _one_line(error)) from error
        finally:
            Image.MAX_IMAGE_PIXELS = guard

    def _reason(self, error: Exception) -> SkipReason:
        text = str(error).lower()
        if "out of memory" in text:
            return SkipReason.OUT_OF_MEMORY
        if _is_truncation(error) or (self.format == "webp" and _is_short_riff(self._body)):
            return SkipReason.TRUNCATED
        if re.search(r"unsupported|not (yet )?supported|unknown pixel mode|unknown data organization", text):
            return SkipReason.UNSUPPORTED_FORMAT
        return SkipReason.CORRUPT


def shrinking(size: tuple[int, int], short_px: int | None) -> int:
    """Return the largest of 1, 2, 4, 8 by which a size in pixels can shrink and keep a short side; None: 1."""
    if short_px is None:
        return 1
    return next((scale for scale in (8, 4, 2) if min(size) // short_px >= scale), 1)


def _decodable(body: bytes) -> Format:
    if not body:
        raise Unreadable(SkipReason.EMPTY, "zero bytes")
    found = format_of(body)
    for name in FORMATS:
        if found == name:
            return name
    if found:
        raise Unreadable(SkipReason.UNSUPPORTED_FORMAT, f"{found}; decoded are {', '.join(FORMATS)}")
    start = re.sub(rb"[^\x20-\x7e]", b".", body[:24]).decode("ascii")
    raise Unreadable(SkipReason.NOT_AN_IMAGE, f"no known image format begins with {start!r}")


def _opened(body: bytes, name: Format) -> ImageFile.ImageFile:
    return _PLUGINS[name](BytesIO(body))


def _loaded(image: ImageFile.ImageFile, scale: int) -> Image.Image:
    if scale > 1:
        image.draft(None, (image.width // scale, image.height // scale))
    image.load()
    return image


def _orientation(image: Image.Image) -> int:
    # Pillow has turned a TIFF already and dropped the tag.
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001  # broken EXIF of any kind: the pixels are still good
        return 1


def _lacks_only_its_end(body: bytes) -> bool:
    """Tell a JPEG without its end marker from one that lacks pixels.

    The end marker makes libjpeg fill what is missing without a word. Where nothing is missing, what stands between
    the last pixel and the marker does not matter; where something is, it becomes pixels.
    """
    fillers = (b"", b"\x55" * 64, b"\xaa" * 64)
    digests = set()
    for filler in fillers:
        image = _opened(body + filler + _JPEG_END, "jpeg")
        digests.add(blake2b(image.tobytes()).digest())
    return len(digests) == 1


def _is_truncation(error: Exception) -> bool:
    return isinstance(error, EOFError) or bool(re.search(r"truncated|\beof\b", str(error), re.IGNORECASE))


def _is_short_riff(body: bytes) -> bool:
    return int.from_bytes(body[4:8], "little") + 8 > len(body)


def _too_many_pixels(count: str, limit: int) -> Unreadable:
    return Unreadable(SkipReason.TOO_MANY_PIXELS, f"{count} pixels; the limit is {limit}")


def _one_line(error: Exception) -> str:
    text = re.sub(r"0x[0-9a-f]{6,}", "0x...", str(error))  # addresses differ from run to run
    return " ".join(f"{type(error).__name__}: {text}".split())[:200]
