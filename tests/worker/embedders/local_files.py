"""Files for tests of models: a fetcher that checks digests of local files, weights, and pictures."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from worker.errors import JobRejected


class LocalFiles:
    """Takes a URL for a path."""

    def fetch(self, url: str, *, sha256: str) -> Path:
        path = Path(url)
        if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            raise JobRejected(f"weights: {url} has another SHA-256")
        return path


def described(path: Path) -> dict[str, Any]:
    return {"url": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def saved(model: nn.Module, path: Path) -> dict[str, Any]:
    """Save a model's tensors and return what a job says to load them."""
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    return described(path)


def two_images(side_px: int) -> NDArray[np.uint8]:
    """Return (2, side, side, 3) pixels: ramps, and a weave of squares; integers only."""
    y, x = np.mgrid[:side_px, :side_px]
    ramps = np.stack([x * 255 // side_px, y * 255 // side_px, (x + y) * 127 // side_px], axis=2)
    weave = np.stack([(x // 16 + y // 16) % 2 * 200, (x * y) % 256, (x // 8) % 2 * 90 + 30], axis=2)
    return np.stack([ramps, weave]).astype(np.uint8)


def picture(width: int, height: int) -> Image.Image:
    """Return an RGB picture with edges, ramps and noise, the same each time."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(width * height).integers(0, 60, (height, width, 3))
    ramps = np.stack([x * 195 // width, y * 195 // height, (x // 9 + y // 7) % 2 * 195], axis=2)
    return Image.fromarray((ramps + noise).astype(np.uint8))


def assert_close(found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    """Compare to 1e-4 of the largest magnitude: models with random weights may give tiny numbers."""
    largest = float(np.abs(expected).max())
    assert largest > 0
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * largest)
