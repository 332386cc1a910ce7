"""One body to what is wanted of it: measures, the pixels for a model, a thumbnail. A pure function.

Each wants its own view of the picture, so that none depends on what else was asked for: the model's pixels come from
the smallest JPEG scale (1/1, 1/2, 1/4, 1/8) that `Preprocessing.view_px` allows, reduced measures from the smallest
whose short side is at least MEASURE_SHORT_SIDE_PX, full measures from the full size. Other formats are always decoded
whole. Views that coincide are decoded once.
"""

from functools import cache
from io import BytesIO
from typing import Annotated, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

import worker.measures
from worker.measure import Image, Measure
from worker.media.limits import Limits
from worker.media.pictures import Picture, Unreadable
from worker.media.preprocessing import Preprocessing
from worker.media.thumbnails import thumbnail
from worker.media.tones import array_of
from worker.registry import Registry
from worker.samples import Decoded, Skipped, SkipReason

DECODER_VERSION = 1
"""Grows with every change of what comes out of a decode."""

MEASURE_SHORT_SIDE_PX = 256
"""Reduced measures see at least this many pixels along the short side, where the original has them."""

OUT_OF_MEMORY_DETAIL = "decoding needs more memory than limits.decode_memory_bytes"

_MEASURES: Registry[Measure] = Registry(worker.measures, Measure)


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in _MEASURES.by_name:
            raise ValueError(f"no measure {name!r}; choose from {', '.join(sorted(_MEASURES.by_name))}")
    return names


MeasureNames = Annotated[tuple[str, ...], AfterValidator(_known)]


ImageFormat = Literal["png", "jpg", "webp"]

_ENCODERS: dict[ImageFormat, tuple[str, dict[str, Any]]] = {
    "png": ("PNG", {"compress_level": 6}),
    "jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    "webp": ("WEBP", {"quality": 95, "method": 4}),
}


class DecodeRequest(BaseModel):
    """What is wanted of one image or frame. Measures are named by `type`.

    A thumbnail's long side is at most `thumbnail_px`; with `blur` nothing in it can be recognised. `image_format` asks
    for the whole picture, upright and without metadata: as PNG, or as JPEG (all colour kept) or WebP of quality 95.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    measures: MeasureNames = ()
    full_measures: MeasureNames = ()
    embed: Preprocessing | None = None
    thumbnail_px: int | None = Field(default=None, ge=1, le=4096)
    blur: bool = False
    image_format: ImageFormat | None = None


class Viewable(Protocol):
    """A picture that can be looked at in several sizes: an image (`Picture`) or a frame of a video.

    `size` is width and height in pixels, upright at the latest once there was a view.
    """

    size: tuple[int, int]

    @property
    def format(self) -> str:
        """The image format's or the codec's name."""
        ...

    def scale_for(self, short_px: int | None) -> int:
        """Return the largest of 1, 2, 4, 8 by which a view can shrink this and keep that short side; None: 1."""
        ...

    def size_at(self, scale: int) -> tuple[int, int]:
        """Return the size of that view."""
        ...

    def view(self, scale: int) -> PillowImage.Image:
        """Return the picture as RGB, upright, at 1/scale of its size."""
        ...


def decode(body: bytes, request: DecodeRequest, limits: Limits) -> Decoded | Skipped:
    """Decode one image within limits on bytes and pixels; time and memory are bounded by the process around it.

    Not for several threads at once: Pillow's switches are process-wide.
    """
    if len(body) > limits.max_object_bytes:
        return Skipped(
            SkipReason.TOO_MANY_BYTES, f"{len(body):,} bytes; the limit is {limits.max_object_bytes:,}"
        )
    try:
        picture = Picture(body, max_pixels=limits.max_pixels)
        if request == DecodeRequest(
            blur=request.blur
        ):  # whether it decodes is an answer that is always wanted
            picture.view(picture.scale_for(MEASURE_SHORT_SIDE_PX))
        return looked_at(picture, request, len(body))
    except Unreadable as error:
        return Skipped(error.reason, error.detail)
    except MemoryError:
        return Skipped(SkipReason.OUT_OF_MEMORY, OUT_OF_MEMORY_DETAIL)


def looked_at(picture: Viewable, request: DecodeRequest, size_bytes: int) -> Decoded:
    """Return what is wanted of a picture, which is `size_bytes` long where it is stored. Raises Unreadable."""

    @cache
    def image(scale: int) -> Image:
        return Image(array_of(picture.view(scale)), *picture.size, size_bytes)

    @cache
    def value(name: str, scale: int) -> float | int | str:
        return _MEASURES.by_name[name](type=name).of(image(scale))

    reduced = picture.scale_for(MEASURE_SHORT_SIDE_PX)
    measures = {name: value(name, reduced) for name in request.measures}
    full_measures = {name: value(name, 1) for name in request.full_measures}
    pixels = _model_pixels(picture, request.embed) if request.embed else None
    small = _thumbnail(picture, request.thumbnail_px, blur=request.blur) if request.thumbnail_px else None
    whole = _encoded(picture.view(1), request.image_format) if request.image_format else None
    width, height = picture.size
    return Decoded(
        picture.format, width, height, picture.size_at(reduced), measures, full_measures, pixels, small, whole
    )


def _model_pixels(picture: Viewable, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    return preprocessing.pixels(picture.view(picture.scale_for(preprocessing.view_px)))


def _thumbnail(picture: Viewable, long_px: int, *, blur: bool) -> bytes:
    return thumbnail(picture.view(picture.scale_for(long_px)), long_px=long_px, blur=blur)


def _encoded(view: PillowImage.Image, image_format: ImageFormat) -> bytes:
    name, options = _ENCODERS[image_format]
    out = BytesIO()
    view.save(out, name, **options)
    return out.getvalue()
