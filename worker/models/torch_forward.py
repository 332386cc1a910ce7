"""What the torch models share: pixels in, vectors out; weights from safetensors; export to ONNX."""

import warnings
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from worker.device import Device
from worker.embedder import Channels, Forward
from worker.errors import JobRejected

ONNX_OPSET = 17
PIXELS = "pixels"

_SHOWN_KEYS = 3


def torch_forward(model: nn.Module, device: Device, *, mean: Channels, std: Channels) -> Forward:
    """Make a model of normalised (b, 3, h, w) images ready on a device; `mean` and `std` are of pixels from 0 to 255.

    Pixels travel as uint8 and are normalised on the device. A GPU with bfloat16 computes in it (autocast), every
    other device in float32; vectors are float32 in any case.
    """
    place = torch.device(device.torch_name)
    network = _FromPixels(model, mean=mean, std=std).eval().to(place, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack this form
    reduced = device.precision == "bfloat16"
    send = _pinned_sender(place) if device.is_cuda else torch.from_numpy
    if not device.is_cuda:
        torch.set_num_threads(device.threads)

    def forward(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode(), torch.autocast(place.type, dtype=torch.bfloat16, enabled=reduced):
            vectors: Tensor = network(send(images))
            return vectors.float().cpu().numpy()

    return forward


def export_onnx(model: nn.Module, *, side_px: int, mean: Channels, std: Channels) -> bytes:
    """Return an ONNX graph from uint8 `pixels` (b, side, side, 3), any b, to vectors; normalisation is part of it."""
    network = _FromPixels(model, mean=mean, std=std).eval()
    example = torch.zeros(1, side_px, side_px, 3, dtype=torch.uint8)
    graph = BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (example,),
            graph,  # type: ignore[arg-type]  # this exporter writes to files too
            input_names=[PIXELS],
            output_names=["embedding"],
            dynamic_axes={PIXELS: {0: "batch"}, "embedding": {0: "batch"}},
            opset_version=ONNX_OPSET,
            dynamo=False,  # the other exporter needs one more package
        )
    return graph.getvalue()


def load_safetensors(model: nn.Module, path: Path, *, head: Sequence[str], at: str) -> None:
    """Fill a model with weights from a safetensors file, all of them; the layers named in `head` may be in it.

    Raises:
        JobRejected: not such a file, or its tensors are not the model's; names the first few of them.
    """
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise JobRejected(
            f"{at}: not a safetensors file ({error}); choose one, pickles are not read"
        ) from error
    prefixes = tuple(f"{name}." for name in head)
    body = {name: tensor for name, tensor in tensors.items() if not name.startswith(prefixes)}
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    problems = [
        _listed("missing", sorted(expected.keys() - body.keys())),
        _listed("unknown", sorted(body.keys() - expected.keys())),
        _listed(
            "of another shape",
            [
                f"{name} {list(body[name].shape)} instead of {list(shape)}"
                for name, shape in expected.items()
                if name in body and body[name].shape != shape
            ],
        ),
    ]
    if any(problems):
        raise JobRejected(f"{at}: not the weights of this model: {'; '.join(filter(None, problems))}")
    model.load_state_dict(body)


def output_dimension(model: nn.Module, *, side_px: int) -> int | None:
    """Return the length of the vectors of a model on the device "meta", or None where they are not vectors."""
    with torch.inference_mode():
        vectors: Tensor = model(torch.empty(1, 3, side_px, side_px, device="meta"))
    return vectors.shape[1] if vectors.dim() == 2 else None


class _FromPixels(nn.Module):
    """A model that takes pixels as they come."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, *, mean: Channels, std: Channels) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        images = pixels.permute(0, 3, 1, 2).float()  # (b, 3, h, w), in memory still channels last
        vectors: Tensor = self.model((images - self.mean) / self.std)
        return vectors


def _pinned_sender(place: torch.device) -> Callable[[NDArray[np.uint8]], Tensor]:
    """Return a function that copies images to a GPU through one page-locked buffer, which grows as needed."""
    buffer = torch.empty(0, dtype=torch.uint8, pin_memory=True)
    copied = torch.cuda.Event()  # type: ignore[no-untyped-call]

    def send(images: NDArray[np.uint8]) -> Tensor:
        nonlocal buffer
        copied.synchronize()  # an earlier copy, of a call that failed perhaps, may still be reading the buffer
        if buffer.numel() < images.size:
            buffer = torch.empty(images.size, dtype=torch.uint8, pin_memory=True)
        staged = buffer[: images.size].view(images.shape)
        staged.copy_(torch.from_numpy(images))
        sent = staged.to(place, non_blocking=True)
        copied.record()
        return sent

    return send


def _listed(what: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _SHOWN_KEYS} more" if len(names) > _SHOWN_KEYS else ""
    return f"{what}: {', '.join(names[:_SHOWN_KEYS])}{more}"
