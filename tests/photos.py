"""Small photos made on the spot, for tests that need many real files."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image


def jpeg(seed: int, *, size: tuple[int, int] = (48, 40)) -> bytes:
    """Return a JPEG whose colours depend on the seed."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (4, 4, 3), np.uint8)
    out = BytesIO()
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(out, "JPEG", quality=90)
    return out.getvalue()


def make_photos(folder: Path, count: int, *, first: int = 0, prefix: str = "") -> list[str]:
    """Write `count` photos and return their keys."""
    keys = []
    for number in range(first, first + count):
        key = f"{prefix}{number:05}.jpg"
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(number))
        keys.append(key)
    return keys
