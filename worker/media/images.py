"""One body to what is wanted of it: measures, the pixels for a model, a thumbnail. A pure function.

Each wants its own view of the picture, so that none depends on what else was asked for: the model's pixels come from
the smallest JPEG scale (1/1, 1/2, 1/4, 1/8) that `Preprocessing.view_px` allows, reduced measures from the smallest
whose short side is at least MEASURE_SHORT_SIDE_PX, full measures from the full size. Other formats are always decoded
whole. Views that coincide are decoded once.
"""

from functools import cache
from typing import Annotated

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


class DecodeRequest(BaseModel):
    """What is wanted of one image. Measures are named by `type`.

    A thumbnail's long side is at most `thumbnail_px`; with `blur` nothing in it can be recognised.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    measures: MeasureNames = ()
    full_measures: MeasureNames = ()
    embed: Preprocessing | None = None
    thumbnail_px: int | None = Field(default=None, ge=1, le=4096)
    blur: bool = False


def decode(body: bytes, request: DecodeRequest, limits: Limits) -> Decoded | Skipped:
    """Decode one image within limits on bytes and pixels; time and memory are bounded by the process around it.

    Not for several threads at once: Pillow's switches are process-wide.
    """
    if len(body) > limits.max_object_bytes:
        return Skipped(
            SkipReason.TOO_MANY_BYTES, f"{len(body):,} bytes; the limit is {limits.max_object_bytes:,}"
        )
    try:
        return _decoded(Picture(body, max_pixels=limits.max_pixels), request, len(body))
    except Unreadable as error:
        return Skipped(error.reason, error.detail)
    except MemoryError:
        return Skipped(SkipReason.OUT_OF_MEMORY, OUT_OF_MEMORY_DETAIL)


def _decoded(picture: Picture, request: DecodeRequest, size_bytes: int) -> Decoded:
    @cache
    def image(scale: int) -> Image:
        return Image(array_of(picture.view(scale)), *picture.size, size_bytes)

    @cache
    def value(name: str, scale: int) -> float | int | str:
        return _MEASURES.by_name[name](type=name).of(image(scale))

    reduced = picture.scale_for(MEASURE_SHORT_SIDE_PX)
    if not (request.measures or request.full_measures or request.embed or request.thumbnail_px):
        picture.view(reduced)  # whether it decodes is an answer that is always wanted
    measures = {name: value(name, reduced) for name in request.measures}
    full_measures = {name: value(name, 1) for name in request.full_measures}
    pixels = _model_pixels(picture, request.embed) if request.embed else None
    small = _thumbnail(picture, request.thumbnail_px, blur=request.blur) if request.thumbnail_px else None
    width, height = picture.size
    return Decoded(
        picture.format, width, height, picture.size_at(reduced), measures, full_measures, pixels, small
    )


def _model_pixels(picture: Picture, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    return preprocessing.pixels(picture.view(picture.scale_for(preprocessing.view_px)))


def _thumbnail(picture: Picture, long_px: int, *, blur: bool) -> bytes:
    view: PillowImage.Image = picture.view(picture.scale_for(long_px))
    return thumbnail(view, long_px=long_px, blur=blur)
