import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import timm

from tests.worker.embedders.local_files import LocalFiles, two_images
from worker.device import Device
from worker.embedder import Forward
from worker.embedders import efficientnet_lite0
from worker.embedders.efficientnet_lite0 import EfficientnetLite0
from worker.models.torch_forward import torch_forward

CPU = Device("cpu", "CPU", 2)

# From the code that the weights were published with (PyPI: efficientnet-lite-pytorch 0.1.0), for `two_images(224)`.
LARGEST = (
    {897: 5.02766, 113: 4.8534, 930: 3.88451, 689: 2.8604, 71: 2.83256, 755: 2.82673},
    {621: 4.12481, 964: 3.73748, 287: 3.48879, 989: 3.45399, 423: 3.3691, 714: 3.31761},
)
SUMS = (93.661, 237.8098)
LENGTHS = (13.18621, 18.36536)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRAMESIFT_CACHE_DIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def forward(cache: Path) -> Forward:
    loaded = EfficientnetLite0().load(CPU, LocalFiles())
    assert len(list((cache / "onnx").glob("*.onnx"))) == 1
    return loaded


def test_load__canonical_vectors(forward: Forward) -> None:
    vectors = forward(two_images(224))
    for vector, largest, total, length in zip(vectors, LARGEST, SUMS, LENGTHS, strict=True):
        assert np.argsort(-vector)[: len(largest)].tolist() == list(largest)
        np.testing.assert_allclose(vector[list(largest)], list(largest.values()), atol=1e-4)
        np.testing.assert_allclose(vector.sum(dtype=np.float64), total, atol=1e-2)
        np.testing.assert_allclose(np.linalg.norm(vector), length, atol=1e-3)


def test_load__onnxruntime_agrees_with_torch(forward: Forward) -> None:
    eager = torch_forward(efficientnet_lite0.torch_network(), CPU, mean=(127.0,) * 3, std=(128.0,) * 3)
    images = two_images(224)
    np.testing.assert_allclose(forward(images), eager(images), atol=1e-4)


def test_load__uses_the_kept_graph(forward: Forward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet_lite0, "_graph", lambda: pytest.fail("exported again"))
    images = two_images(224)
    again = EfficientnetLite0().load(CPU, LocalFiles())(images)
    np.testing.assert_allclose(again, forward(images), atol=1e-5)


def test_timm_name__is_every_tensor_of_the_architecture() -> None:
    import torch

    stored = torch.load(efficientnet_lite0._weights_path(), weights_only=True, map_location="meta")
    names = [efficientnet_lite0._timm_name(name) for name in stored if not name.startswith("_fc.")]
    with torch.device("meta"):
        expected = timm.create_model("tf_efficientnet_lite0", num_classes=0).state_dict()
    assert names == list(expected)


def test_identity__needs_no_torch() -> None:
    code = (
        "import sys; from worker.embedders.efficientnet_lite0 import EfficientnetLite0 as E; "
        "E().identity(None); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
