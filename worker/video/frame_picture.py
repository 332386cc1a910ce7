"""One decoded frame as a picture: looked at in several sizes, upright, and known again by its planes."""

from hashlib import blake2b

import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from numpy.typing import NDArray
from PIL import Image

from worker.media.pictures import shrinking

SIGNATURE_PX = 32
"""Sides of a signature."""

_T = Image.Transpose
_TRANSPOSES = {
    (-1, 0, 0, 1): _T.FLIP_LEFT_RIGHT,
    (-1, 0, 0, -1): _T.ROTATE_180,
    (1, 0, 0, -1): _T.FLIP_TOP_BOTTOM,
    (0, 1, 1, 0): _T.TRANSPOSE,
    (0, 1, -1, 0): _T.ROTATE_270,
    (0, -1, -1, 0): _T.TRANSVERSE,
    (0, -1, 1, 0): _T.ROTATE_90,
}
"""By the signs of a display matrix (a, b, c, d): (x, y) is shown at (ax + cy, bx + dy). Other angles are left alone."""

_SIDEWAYS = {_T.TRANSPOSE, _T.ROTATE_270, _T.TRANSVERSE, _T.ROTATE_90}

# The same bytes from every kind of CPU; swscale's quickest ways differ between them.
_SCALING = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


class Scalers:
    """swscale's tables for the sizes that are asked for again and again; a few hundred kilobytes each."""

    def __init__(self) -> None:
        self._by_size: dict[tuple[int, int, str], VideoReformatter] = {}

    def scaled(self, frame: VideoFrame, width: int, height: int, pixel_format: str) -> VideoFrame:
        """Return a frame in another size and format, full range; matrix and range are read from the frame."""
        if len(self._by_size) > 16:  # a stream that keeps changing its size
            self._by_size.clear()
        scaler = self._by_size.setdefault((width, height, pixel_format), VideoReformatter())
        return scaler.reformat(
            frame,
            width,
            height,
            pixel_format,
            interpolation=_SCALING,
            dst_color_range=ColorRange.JPEG,
            threads=1,
        )


class FramePicture:
    """A frame in square pixels, turned and flipped as its display matrix says. `format` is the codec's name.

    A matrix that the stream does not name is BT.601, as in FFmpeg.
    """

    def __init__(self, frame: VideoFrame, codec: str, scalers: Scalers) -> None:
        self.format = codec
        self._frame = frame
        self._scalers = scalers
        self._views: dict[int, Image.Image] = {}
        self._transpose = _transpose_of(frame)
        stored = (frame.width, frame.height)
        self.size = stored[::-1] if self._transpose in _SIDEWAYS else stored
        """Width and height in pixels, upright."""

    def scale_for(self, short_px: int | None) -> int:
        """Return the largest of 1, 2, 4, 8 by which a view can shrink this and keep that short side; None: 1."""
        return shrinking(self.size, short_px)

    def size_at(self, scale: int) -> tuple[int, int]:
        """Return the size of that view."""
        return -(-self.size[0] // scale), -(-self.size[1] // scale)

    def view(self, scale: int) -> Image.Image:
        """Return the picture as RGB, upright, at 1/scale of its size: the means of the areas that pixels cover."""
        if scale not in self._views:
            width, height = -(-self._frame.width // scale), -(-self._frame.height // scale)
            plane = self._scalers.scaled(self._frame, width, height, "rgb24").planes[0]
            image = _image("RGB", (width, height), plane)
            self._views[scale] = image if self._transpose is None else image.transpose(self._transpose)
        return self._views[scale]

    @property
    def content(self) -> str:
        """BLAKE2b-128 of what is visible: pixel format, size, display matrix and the planes, in hex."""
        digest = blake2b(digest_size=16)
        frame = self._frame
        turned = "upright" if self._transpose is None else int(self._transpose)
        digest.update(f"{frame.format.name} {frame.width} {frame.height} {turned}".encode())
        for index in range(len(frame.planes)):
            digest.update(_visible(frame, index))
        return digest.hexdigest()

    @property
    def signature(self) -> NDArray[np.uint8]:
        """(32, 32) uint8 grey values of the upright picture, full range: swscale's means of the areas."""
        plane = self._scalers.scaled(self._frame, SIGNATURE_PX, SIGNATURE_PX, "gray").planes[0]
        grey = _image("L", (SIGNATURE_PX, SIGNATURE_PX), plane)
        return np.array(grey if self._transpose is None else grey.transpose(self._transpose))


def _image(mode: str, size: tuple[int, int], plane: VideoPlane) -> Image.Image:
    data = memoryview(plane)
    return Image.frombuffer(mode, size, data, "raw", mode, plane.line_size, 1)  # type: ignore[arg-type]  # a buffer will do


def _transpose_of(frame: VideoFrame) -> Image.Transpose | None:
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return None
    a, b, _, c, d = np.frombuffer(data, "<i4", count=5)  # type: ignore[call-overload]  # it is a buffer
    return _TRANSPOSES.get(tuple(int(value) for value in np.sign([a, b, c, d])))  # type: ignore[arg-type]


def _visible(frame: VideoFrame, index: int) -> memoryview:
    """Return the bytes of a plane without what pads its lines."""
    plane = frame.planes[index]
    components = [one for one in frame.format.components if one.plane == index]
    row_bytes = plane.width * len(components) * -(-components[0].bits // 8)
    lines = np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, :row_bytes]  # type: ignore[call-overload]
    return np.ascontiguousarray(lines).data
