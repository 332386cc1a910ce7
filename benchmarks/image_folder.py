"""The usual way, to compare with: torchvision's ImageFolder and transforms, a DataLoader with workers, Pillow."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import CenterCrop, Compose, Normalize, PILToTensor, Resize, ToTensor

from worker.device import Device
from worker.embedder import Forward
from worker.embedders.efficientnet_lite0 import (
    torch_network,
)  # the default model in torch, with the same weights

BATCH = 32
_CUT = (Resize(256), CenterCrop(224))
_FLOAT = Compose([*_CUT, ToTensor(), Normalize([127 / 255] * 3, [128 / 255] * 3)])
_BYTES = Compose([*_CUT, PILToTensor()])


def eager(folder: Path, device: Device) -> Callable[[], int]:
    """Return a pass over a folder with the model in torch's eager mode; it returns the number of images."""
    network: nn.Module = torch_network().to(device.torch_name)
    torch.set_num_threads(device.threads)
    loader = _loader(folder, _FLOAT, device)

    def run() -> int:
        with torch.inference_mode():
            return sum(len(network(images.to(device.torch_name)).cpu()) for images, _ in loader)

    return run


def with_our_forward(folder: Path, device: Device, forward: Forward) -> Callable[[], int]:
    """Return a pass over a folder that differs from ours in reading and decoding only."""
    loader = _loader(folder, _BYTES, device)

    def run() -> int:
        return sum(len(forward(images.permute(0, 2, 3, 1).contiguous().numpy())) for images, _ in loader)

    return run


def _loader(folder: Path, transform: Compose, device: Device) -> "DataLoader[tuple[Tensor, Tensor]]":
    """Workers stay from pass to pass, so that starting them costs nothing here."""
    return DataLoader(
        ImageFolder(str(folder), transform),
        batch_size=BATCH,
        num_workers=device.threads,
        persistent_workers=True,
        multiprocessing_context="forkserver",  # our threads run already, and a fork would copy their locks
    )
