import pytest

from worker.media.formats import format_of


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "webp"),
        (b"II\x2a\x00", "tiff"),
        (b"MM\x00\x2b", "tiff"),
        (b"P6 1 1 255\n", "ppm"),
        (b"P1\n1 1\n0", "ppm"),
        (b"GIF89a", "gif"),
        (b"\x00\x00\x00\x18ftypheic", "HEIC"),
        (b"\x00\x00\x00\x18ftypavif", "AVIF"),
        (b"8BPS\x00\x01", "Photoshop"),
        (b"\x00\x00\x01\x00\x01\x00", "ICO"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "EPS"),
        (b"PF\n1 1\n-1.0\n", "PAM or PFM"),
        (b'<?xml version="1.0"?><svg xmlns="x">', "SVG"),
    ],
)
def test_format_of__by_content(body: bytes, name: str) -> None:
    assert format_of(body) == name


@pytest.mark.parametrize(
    "body", [b"", b"\x00", b"<html>", b"RIFF\x00\x00\x00\x00WAVE", b"\x00\x00\x00\x18ftypmp42"]
)
def test_format_of__not_an_image(body: bytes) -> None:
    assert format_of(body) is None
