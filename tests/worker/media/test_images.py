"""Bodies are made here, with Pillow, and damaged by hand."""

import warnings
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from pydantic import ValidationError

from worker.media.images import DecodeRequest, decode
from worker.media.limits import Limits
from worker.media.preprocessing import Preprocessing
from worker.samples import Decoded, Skipped, SkipReason

LIMITS = Limits()
EVERYTHING = DecodeRequest(
    measures=("mean_red", "width", "perceptual_hash"),
    full_measures=("sharpness", "mean_red"),
    embed=Preprocessing(resize=64, crop=56),
    thumbnail_px=32,
)


def whole(side: int) -> DecodeRequest:
    """Ask for a square picture's own pixels."""
    return DecodeRequest(embed=Preprocessing(resize=side, crop=side, interpolation="nearest"))


def photo(width: int, height: int) -> Image.Image:
    """Return something smooth with a little noise, so that JPEG behaves as on a photo."""
    y, x = np.mgrid[0:height, 0:width]
    waves = np.stack([np.sin(x / 17 + y / 29), np.cos(x / 23), np.sin(y / 13)], axis=-1)
    noise = np.random.default_rng(5).normal(0, 6, (height, width, 3))
    return Image.fromarray(np.clip(128 + 90 * waves + noise, 0, 255).astype(np.uint8))


def body_of(image: Image.Image, name: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def decoded(body: bytes, request: DecodeRequest = EVERYTHING, limits: Limits = LIMITS) -> Decoded:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = decode(body, request, limits)
    assert isinstance(result, Decoded), result
    return result


def skipped(body: bytes, limits: Limits = LIMITS) -> Skipped:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = decode(body, EVERYTHING, limits)
    assert isinstance(result, Skipped)
    assert "\n" not in result.detail
    return result


def own_pixels(body: bytes, side: int) -> NDArray[np.uint8]:
    pixels = decoded(body, whole(side)).pixels
    assert pixels is not None
    return pixels


@pytest.mark.parametrize(
    ("pillow_name", "name"),
    [("PNG", "png"), ("BMP", "bmp"), ("TIFF", "tiff"), ("PPM", "ppm")],
)
def test_decode__lossless_formats_give_their_pixels(pillow_name: str, name: str) -> None:
    image = photo(48, 48)
    body = body_of(image, pillow_name)
    assert decoded(body).format == name
    assert np.array_equal(own_pixels(body, 48), np.asarray(image))


def test_decode__lossless_webp_gives_its_pixels() -> None:
    image = photo(48, 48)
    assert np.array_equal(own_pixels(body_of(image, "WEBP", lossless=True), 48), np.asarray(image))


def test_decode__jpeg() -> None:
    image = photo(48, 48)
    body = body_of(image, "JPEG", quality=95)
    assert decoded(body).format == "jpeg"
    assert np.array_equal(own_pixels(body, 48), np.asarray(Image.open(BytesIO(body))))


@pytest.mark.parametrize("pillow_name", ["PNG", "GIF", "WEBP", "TIFF", "MPO"])
def test_decode__first_of_several_pictures(pillow_name: str) -> None:
    first, second = Image.new("RGB", (16, 16), (200, 0, 0)), Image.new("RGB", (16, 16), (0, 0, 200))
    options = {"lossless": True} if pillow_name == "WEBP" else {}
    body = body_of(first, pillow_name, save_all=True, append_images=[second], **options)
    red, green, blue = own_pixels(body, 16)[8, 8].tolist()
    assert red > 190
    assert green < 5
    assert blue < 5


def test_decode__everything_that_was_asked_for() -> None:
    body = body_of(photo(300, 200), "PNG")
    result = decoded(body)
    assert (result.width, result.height, result.seen_px) == (300, 200, (300, 200))
    assert result.measures.keys() == {"mean_red", "width", "perceptual_hash"}
    assert result.full_measures.keys() == {"sharpness", "mean_red"}
    assert result.measures["mean_red"] == result.full_measures["mean_red"]
    assert result.pixels is not None
    assert result.pixels.shape == (56, 56, 3)
    assert result.thumbnail is not None
    assert max(Image.open(BytesIO(result.thumbnail)).size) == 32


def test_decode__nothing_asked_for_still_says_whether_it_decodes() -> None:
    body = body_of(photo(64, 64), "JPEG")
    result = decoded(body, DecodeRequest())
    assert (result.measures, result.full_measures, result.pixels, result.thumbnail) == ({}, {}, None, None)
    assert isinstance(decode(body[: len(body) // 2], DecodeRequest(), LIMITS), Skipped)


@pytest.mark.parametrize(
    ("size", "seen_px"),
    [
        ((511, 700), (511, 700)),
        ((512, 701), (256, 351)),
        ((1600, 1100), (400, 275)),
        ((2100, 2050), (263, 257)),
    ],
)
def test_decode__reduced_measures_see_at_least_256(size: tuple[int, int], seen_px: tuple[int, int]) -> None:
    result = decoded(body_of(photo(*size), "JPEG"), DecodeRequest(measures=("width", "height", "mean_red")))
    assert result.seen_px == seen_px
    assert (result.width, result.height) == size
    assert (result.measures["width"], result.measures["height"]) == size


def test_decode__full_measures_see_the_full_size() -> None:
    body = body_of(photo(1100, 1050), "JPEG")
    result = decoded(body, DecodeRequest(measures=("sharpness",), full_measures=("sharpness",)))
    png = body_of(Image.open(BytesIO(body)), "PNG")
    expected = decoded(png, DecodeRequest(full_measures=("sharpness",))).full_measures
    assert result.full_measures == expected
    assert result.measures != expected


def test_decode__no_part_depends_on_the_others() -> None:
    body = body_of(photo(900, 780), "JPEG")
    parts = [
        {"measures": EVERYTHING.measures},
        {"full_measures": EVERYTHING.full_measures},
        {"embed": EVERYTHING.embed},
        {"thumbnail_px": EVERYTHING.thumbnail_px},
    ]
    together = decoded(body)
    alone = [decoded(body, DecodeRequest(**part)) for part in parts]
    assert {(r.width, r.height, r.seen_px) for r in [together, *alone]} == {(900, 780, (450, 390))}
    assert alone[0].measures == together.measures
    assert alone[1].full_measures == together.full_measures
    assert alone[2].pixels is not None
    assert together.pixels is not None
    assert np.array_equal(alone[2].pixels, together.pixels)
    assert alone[3].thumbnail == together.thumbnail


def test_decode__reduced_model_pixels_are_close_to_those_of_a_full_decode() -> None:
    body = body_of(photo(1500, 1200), "JPEG", quality=92)
    way = Preprocessing(resize=224, crop=224)
    pixels = decoded(body, DecodeRequest(embed=way)).pixels
    assert pixels is not None
    full = way.pixels(Image.open(BytesIO(body)))
    difference = np.abs(pixels.astype(int) - full)
    assert 0 < difference.max() <= 22
    assert difference.mean() <= 1.7


@pytest.mark.parametrize("pillow_name", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_decode__exif_orientation(pillow_name: str, orientation: int) -> None:
    # Stored so that a viewer who follows the tag sees red, green over blue, white.
    seen = np.zeros((2, 3, 3), np.uint8)
    seen[0, 0], seen[0, 2], seen[1, 0], seen[1, 2] = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
    upright = np.kron(seen, np.ones((64, 64, 1), np.uint8))
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](upright)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    result = decoded(
        body_of(stored, pillow_name, exif=exif), DecodeRequest(embed=Preprocessing(resize=64, crop=96))
    )
    assert (result.width, result.height) == (192, 128)
    pixels = decoded(
        body_of(stored, pillow_name, exif=exif),
        DecodeRequest(embed=Preprocessing(resize=60, crop=60, keep_aspect=False, interpolation="box")),
    ).pixels
    assert pixels is not None
    corners = [pixels[5, 5], pixels[5, -5], pixels[-5, 5], pixels[-5, -5]]
    expected = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]
    assert np.abs(np.array(corners, int) - np.array(expected)).max() < 40


def test_decode__turned_jpeg_in_reduced_size() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    body = body_of(photo(1600, 1100), "JPEG", exif=exif)
    result = decoded(body, DecodeRequest(measures=("mean_red",)))
    assert (result.width, result.height, result.seen_px) == (1100, 1600, (275, 400))


def test_decode__broken_exif_is_ignored() -> None:
    exif = b"Exif\x00\x00II\x2a\x00\xff\xff\xff\x7f" + b"\xff" * 40
    assert decoded(body_of(photo(32, 32), "JPEG", exif=exif)).width == 32


def test_decode__cmyk_as_adobe_stores_it() -> None:
    body = body_of(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    assert np.abs(own_pixels(body, 16)[8, 8].astype(int) - (255, 0, 0)).max() < 8


@pytest.mark.parametrize("pillow_name", ["PNG", "TIFF"])
def test_decode__16_bit_grey_is_scaled_not_clipped(pillow_name: str) -> None:
    values = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(16, 16)
    pixels = own_pixels(body_of(Image.fromarray(values), pillow_name), 16)
    assert np.array_equal(pixels[..., 0], values >> 8)
    assert np.array_equal(pixels[..., 0], pixels[..., 2])


def test_decode__12_bit_grey_in_16_bits_is_not_black() -> None:
    values = np.array([[0, 16], [2048, 4095]], np.uint16)
    pixels = own_pixels(body_of(Image.fromarray(values), "PNG"), 2)
    assert pixels[..., 0].tolist() == [[0, 1], [128, 255]]


def test_decode__small_values_in_16_bits_are_kept() -> None:
    values = np.array([[0, 7], [100, 255]], np.uint16)
    assert own_pixels(body_of(Image.fromarray(values), "PNG"), 2)[..., 0].tolist() == values.tolist()


def test_decode__16_bit_pgm_is_scaled() -> None:
    body = b"P5 2 2 65535\n" + np.array([0, 257, 32768, 65535], ">u2").tobytes()
    assert own_pixels(body, 2)[..., 1].ravel().tolist() == [0, 1, 128, 255]


def test_decode__float_tiff_spans_its_own_range() -> None:
    values = np.array([[-1.0, 0.0], [np.nan, 3.0]], np.float32)
    assert own_pixels(body_of(Image.fromarray(values), "TIFF"), 2)[..., 0].tolist() == [[0, 64], [0, 255]]


@pytest.mark.parametrize("value", [0.0, 7.5, np.nan])
def test_decode__constant_float_tiff_is_black(value: float) -> None:
    body = body_of(Image.fromarray(np.full((4, 4), value, np.float32)), "TIFF")
    assert own_pixels(body, 4).max() == 0


def test_decode__white_is_zero_grey_16() -> None:
    image = Image.fromarray(np.array([[0, 65535]] * 2, np.uint16))
    body = body_of(image, "TIFF", tiffinfo={262: 0})
    # Whatever Pillow wrote, the reader has to follow the tag.
    with Image.open(BytesIO(body)) as stored:
        turned = stored.tag_v2[262] == 0
    assert own_pixels(body, 2)[0, :, 0].tolist() == ([255, 0] if turned else [0, 255])


def test_decode__transparency_is_laid_on_white() -> None:
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0] = (255, 0, 0, 255)
    rgba[0, 1] = (0, 0, 0, 128)
    pixels = own_pixels(body_of(Image.fromarray(rgba), "PNG"), 2)
    assert pixels[0].tolist() == [[255, 0, 0], [127, 127, 127]]
    assert pixels[1].tolist() == [[255, 255, 255]] * 2


def test_decode__transparent_palette_and_grey() -> None:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    assert own_pixels(body_of(palette, "PNG"), 4)[0, 0].tolist() == [40, 50, 60]
    assert own_pixels(body_of(palette, "PNG", transparency=1), 4)[0, 0].tolist() == [255, 255, 255]
    assert own_pixels(body_of(Image.new("LA", (4, 4), (90, 0)), "PNG"), 4)[0, 0].tolist() == [255, 255, 255]
    assert own_pixels(body_of(Image.new("LA", (4, 4), (90, 255)), "PNG"), 4)[0, 0].tolist() == [90, 90, 90]


@pytest.mark.parametrize("pillow_name", ["PNG", "TIFF", "PPM", "BMP"])
def test_decode__one_bit(pillow_name: str) -> None:
    image = Image.fromarray(np.array([[True, False], [False, True]]))
    assert own_pixels(body_of(image, pillow_name), 2)[..., 0].tolist() == [[255, 0], [0, 255]]


def test_decode__lab_and_ycbcr_tiff() -> None:
    red = Image.new("RGB", (8, 8), (200, 40, 40))
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    lab = ImageCms.applyTransform(red, to_lab)
    assert lab is not None
    for image in (lab, red.convert("YCbCr")):
        pixels = own_pixels(body_of(image, "TIFF"), 8)
        assert np.abs(pixels[4, 4].astype(int) - (200, 40, 40)).max() <= 4


def test_decode__thumbnail_carries_no_metadata() -> None:
    exif = Image.Exif()
    exif[0x010E] = "secret-description"
    body = body_of(photo(64, 64), "JPEG", exif=exif, comment=b"secret-comment", icc_profile=b"secret-profile")
    thumbnail = decoded(body).thumbnail
    assert thumbnail is not None
    assert b"secret" not in thumbnail


def test_decode__empty_and_foreign_bodies() -> None:
    assert skipped(b"").reason is SkipReason.EMPTY
    assert skipped(b"<?xml version='1.0'?><Error/>").reason is SkipReason.NOT_AN_IMAGE
    psd = skipped(b"8BPS" + bytes(100))
    assert psd.reason is SkipReason.UNSUPPORTED_FORMAT
    assert "Photoshop" in psd.detail


def test_decode__limits_are_checked_before_decoding() -> None:
    body = body_of(Image.new("1", (4000, 3000)), "PNG")
    assert skipped(body, Limits(max_object_bytes=100)).reason is SkipReason.TOO_MANY_BYTES
    result = skipped(body, Limits(max_pixels=11_999_999))
    assert result.reason is SkipReason.TOO_MANY_PIXELS
    assert "12000000" in result.detail
    assert "11999999" in result.detail
    assert decoded(body, DecodeRequest(measures=("mean_red",)), Limits(max_pixels=12_000_000)).width == 4000


def test_decode__a_header_that_lies_about_its_size() -> None:
    body = bytearray(body_of(photo(64, 64), "JPEG"))
    frame = body.index(b"\xff\xc0")
    body[frame + 5 : frame + 9] = b"\xfd\xe8\xfd\xe8"
    assert skipped(bytes(body)).reason is SkipReason.TOO_MANY_PIXELS
    gif = b"GIF89a\x10\x00\x10\x00\x00\x00\x00,\x00\x00\x00\x00\xff\xff\xff\xff\x00\x02\x01\x00\x00;"
    assert skipped(gif).reason is SkipReason.TOO_MANY_PIXELS


def test_decode__pillow_s_own_guard_is_left_as_it_was() -> None:
    before = Image.MAX_IMAGE_PIXELS
    decode(body_of(photo(32, 32), "PNG"), EVERYTHING, Limits(max_pixels=10**9))
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("pillow_name", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM", "GIF"])
def test_decode__cut_in_the_middle(pillow_name: str) -> None:
    body = body_of(photo(200, 200), pillow_name)
    assert skipped(body[: len(body) // 2]).reason is SkipReason.TRUNCATED


@pytest.mark.parametrize("progressive", [False, True])
def test_decode__jpeg_that_lacks_only_its_end_marker(progressive: bool) -> None:
    body = body_of(photo(160, 160), "JPEG", progressive=progressive)
    assert np.array_equal(own_pixels(body[:-2], 160), own_pixels(body, 160))
    assert skipped(body[:-40]).reason is SkipReason.TRUNCATED


def test_decode__damaged_png() -> None:
    body = bytearray(body_of(photo(100, 100), "PNG"))
    start = body.index(b"IDAT") + 40
    body[start : start + 400] = bytes(400)
    assert skipped(bytes(body)).reason in {SkipReason.CORRUPT, SkipReason.TRUNCATED}
    assert skipped(b"\x89PNG\r\n\x1a\n" + bytes(60)).reason is SkipReason.CORRUPT


@pytest.mark.parametrize("pillow_name", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM", "GIF"])
def test_decode__random_damage_never_raises(pillow_name: str) -> None:
    body = np.frombuffer(body_of(photo(40, 40), pillow_name), np.uint8)
    rng = np.random.default_rng(11)
    small = Limits(max_pixels=1_000_000)
    for _ in range(40):
        damaged = body.copy()
        places = rng.integers(0, min(len(body), 400), 6)
        damaged[places] = rng.integers(0, 256, 6)
        assert isinstance(
            decode(damaged.tobytes(), DecodeRequest(measures=("mean_red",)), small), Decoded | Skipped
        )


def test_decode_request__names_are_checked() -> None:
    with pytest.raises(ValidationError, match="no measure 'sharpnes'; choose from"):
        DecodeRequest(measures=("sharpnes",))


def test_decode_request__survives_json() -> None:
    assert DecodeRequest.model_validate_json(EVERYTHING.model_dump_json()) == EVERYTHING


@pytest.mark.parametrize(("image_format", "name"), [("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP")])
def test_decode__the_whole_picture_in_another_format(image_format: str, name: str) -> None:
    file = BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30), (200, 80, 20)).save(file, "JPEG", exif=exif)
    request = DecodeRequest.model_validate({"image_format": image_format})
    first, again = (decode(file.getvalue(), request, Limits()) for _ in range(2))
    assert isinstance(first, Decoded)
    assert isinstance(again, Decoded)
    assert first.image is not None
    assert first.image == again.image
    image = Image.open(BytesIO(first.image))
    assert (image.format, image.size, dict(image.getexif())) == (name, (30, 40), {})
