"""What a body is, by its first bytes; its name is never asked."""

import re
from collections.abc import Mapping
from typing import Literal, get_args

Format = Literal["jpeg", "png", "webp", "bmp", "tiff", "ppm", "gif"]
"""What is decoded. `jpeg` includes MPO, `png` APNG, `ppm` the whole family PBM, PGM and PPM."""

FORMATS: tuple[Format, ...] = get_args(Format)

_PREFIXES: Mapping[bytes, str] = {
    b"\xff\xd8\xff": "jpeg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"BM": "bmp",
    b"II\x2a\x00": "tiff",
    b"MM\x00\x2a": "tiff",
    b"II\x2b\x00": "tiff",
    b"MM\x00\x2b": "tiff",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"8BPS": "Photoshop",
    b"\x00\x00\x01\x00": "ICO",
    b"\x00\x00\x02\x00": "CUR",
    b"icns": "ICNS",
    b"\x00\x00\x00\x0cjP  \r\n\x87\n": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\xff\x0a": "JPEG XL",
    b"\x00\x00\x00\x0cJXL \r\n\x87\n": "JPEG XL",
    b"II\xbc\x01": "JPEG XR",
    b"%!PS": "EPS",
    b"\xc5\xd0\xd3\xc6": "EPS",
    b"%PDF-": "PDF",
    b"DDS ": "DDS",
    b"v/1\x01": "OpenEXR",
    b"#?RADIANCE": "Radiance HDR",
    b"SIMPLE  =": "FITS",
    b"qoif": "QOI",
    b"gimp xcf": "XCF",
    b"FUJIFILMCCD-RAW": "RAF",
    b"IIRO": "ORF",
    b"IIU\x00": "RW2",
}
_ISO_BRANDS: Mapping[bytes, str] = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"hevc": "HEIC",
    b"hevx": "HEIC",
    b"heim": "HEIC",
    b"heis": "HEIC",
    b"mif1": "HEIF",
    b"msf1": "HEIF",
    b"crx ": "CR3",
}
_PORTABLE = re.compile(rb"P(?:([1-6])|[7Ff])[\s#]")
_SVG = re.compile(rb"<svg[\s>]", re.IGNORECASE)


def format_of(body: bytes) -> str | None:
    """Return the name of an image format: one of FORMATS, or one that is recognised only to be refused by name.

    None means that this is no image that anyone here knows.
    """
    for prefix, name in _PREFIXES.items():
        if body.startswith(prefix):
            return name
    if body.startswith(b"RIFF") and body[8:12] == b"WEBP":
        return "webp"
    if body[4:8] == b"ftyp":
        return _ISO_BRANDS.get(body[8:12])
    if portable := _PORTABLE.match(body):
        return "ppm" if portable[1] else "PAM or PFM"
    if _SVG.search(body[:1024]):
        return "SVG"
    return None
