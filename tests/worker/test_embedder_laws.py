"""What holds for every embedder; a new one is tested by being in the folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import timm
import torchvision.models
from onnx import TensorProto, helper

from tests.worker.embedders.local_files import LocalFiles, assert_close, described, saved
from worker.device import Device
from worker.embedder import MAX_DIMENSION, Embedder, Forward, Identity
from worker.variants import EMBEDDERS

CPU = Device("cpu", "CPU", 2)

Loaded = tuple[Embedder, Identity, Forward]


@pytest.fixture(scope="module", params=sorted(EMBEDDERS.by_name))
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    folder = tmp_path_factory.mktemp("laws")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRAMESIFT_CACHE_DIR", str(folder))
        spec = {"type": request.param, **_parameters(request.param, folder)}
        embedder = EMBEDDERS.parse(spec, at="embedding.model")
        yield embedder, embedder.identity(LocalFiles()), embedder.load(CPU, LocalFiles())


def _parameters(name: str, folder: Path) -> dict[str, Any]:
    """Return what an embedder cannot do without."""
    path = folder / "weights"
    match name:
        case "torchvision":
            model = torchvision.models.shufflenet_v2_x0_5(weights=None)
            return {"name": "shufflenet_v2_x0_5", "weights": saved(model, path)}
        case "timm":
            return {"name": "test_vit", "weights": saved(timm.create_model("test_vit"), path)}
        case "onnx":
            onnx.save(_pooling(), path)
            return {"model": described(path), "preprocessing": {"resize": 8, "crop": 8}}
        case _:
            return {}


def _pooling() -> onnx.ModelProto:
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["b", 3, 8, 8])
    vectors = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["b", 3, 1, 1])
    node = helper.make_node("GlobalAveragePool", ["images"], ["vectors"])
    graph = helper.make_graph([node], "g", [images], [vectors])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _images(identity: Identity, count: int) -> np.ndarray:
    side = identity.preprocessing.crop
    return np.random.default_rng(3).integers(0, 256, (count, side, side, 3), np.uint8)


def test_identity__is_complete(loaded: Loaded) -> None:
    embedder, identity, _ = loaded
    assert 1 <= identity.dimension <= MAX_DIMENSION
    assert identity.weights_sha256 == "none" or len(identity.weights_sha256) == 64
    assert identity.licence
    assert identity.details["code_version"]
    assert embedder.identity(LocalFiles()) == identity


def test_forward__gives_finite_vectors_of_the_stated_dimension(loaded: Loaded) -> None:
    _, identity, forward = loaded
    vectors = forward(_images(identity, 3))
    assert vectors.shape == (3, identity.dimension)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()


def test_forward__gives_the_same_alone_and_in_a_batch(loaded: Loaded) -> None:
    _, identity, forward = loaded
    images = _images(identity, 3)
    alone = np.concatenate([forward(images[i : i + 1]) for i in range(3)])
    assert_close(forward(images), alone)


def test_forward__tells_pictures_apart(loaded: Loaded) -> None:
    _, identity, forward = loaded
    images = np.stack([np.full_like(_images(identity, 1)[0], 40), _images(identity, 1)[0]])
    dark, noise = forward(images)
    assert np.abs(dark - noise).max() > 0.01 * np.abs(noise).max() > 0


def test_forward__leaves_the_pixels_alone(loaded: Loaded) -> None:
    _, identity, forward = loaded
    images = _images(identity, 2)
    before = images.copy()
    forward(images)
    np.testing.assert_array_equal(images, before)
