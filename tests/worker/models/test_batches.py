import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from worker.errors import JobFailed
from worker.models.batches import BatchEmbedder


class SmallMemory:
    """A model that gives each image's first pixel, as long as at most `fits` images come."""

    def __init__(self, fits: int) -> None:
        self.fits = fits
        self.sizes: list[int] = []

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.sizes.append(len(images))
        if len(images) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return images[:, 0, 0].astype(np.float32)


def _images(count: int) -> NDArray[np.uint8]:
    return np.arange(count * 12, dtype=np.uint8).reshape(count, 2, 2, 3)


def test_batch_embedder__halves_and_remembers() -> None:
    model = SmallMemory(fits=3)
    embed = BatchEmbedder(model, dimension=3)
    images = _images(8)
    np.testing.assert_array_equal(embed(images), images[:, 0, 0])
    assert model.sizes == [8, 4, 2, 2, 2, 2]
    model.sizes.clear()
    np.testing.assert_array_equal(embed(images[:5]), images[:5, 0, 0])
    assert model.sizes == [2, 2, 1]


def test_batch_embedder__one_image_that_does_not_fit() -> None:
    with pytest.raises(JobFailed, match="even one image of 2 x 2 pixels"):
        BatchEmbedder(SmallMemory(fits=0), dimension=3)(_images(3))


def test_batch_embedder__no_images() -> None:
    assert BatchEmbedder(SmallMemory(fits=1), dimension=3)(_images(0)).shape == (0, 3)


def test_batch_embedder__another_error_passes() -> None:
    def broken(_: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise RuntimeError("illegal memory access")

    with pytest.raises(RuntimeError, match="illegal memory access"):
        BatchEmbedder(broken, dimension=3)(_images(2))


def test_batch_embedder__wrong_shape() -> None:
    with pytest.raises(JobFailed, match=r"gave the shape \(2, 3\) where \(2, 4\) was due"):
        BatchEmbedder(SmallMemory(fits=2), dimension=4)(_images(2))
