"""Any classification model of torchvision, by name, without its last layer."""

import re
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from worker.device import Device
from worker.embedder import Channels, Embedder, Forward, Identity, WeightFiles, WeightsFile
from worker.errors import JobFailed, JobRejected
from worker.media.preprocessing import Preprocessing
from worker.models.file_digest import file_sha256

if TYPE_CHECKING:
    from torch import nn

_AT = "embedding.model"


class Torchvision(Embedder):
    """What a torchvision classifier hands to its last layer, e.g. 512 pooled features of `resnet18`.

    Images are prepared as the library does it for the named weights, or for its default ones where the job brings
    its own. Such a file holds the model's tensors under the library's names; its last layer is not used and may
    have any number of classes, or be left out.
    """

    type: Literal["torchvision"] = "torchvision"
    name: str = Field(pattern=r"^[a-z0-9_]{1,100}$", description="as in torchvision.models, e.g. resnet50")
    weights: str | WeightsFile = Field(
        default="DEFAULT", description="a name from the library, or a safetensors file: {url, sha256}"
    )

    def identity(self, files: WeightFiles) -> Identity:
        """Digest the weights, which are downloaded where the library's cache lacks them.

        Raises:
            JobRejected: no such model or weights. JobFailed: the library's weights cannot be downloaded.
        """
        preset = self._library_weights().transforms()
        own = isinstance(self.weights, WeightsFile)
        return Identity(
            name=self.name,
            weights_sha256=file_sha256(self._file(files)),
            preprocessing=_preprocessing(preset),
            dimension=_dimension(self.name, preset.crop_size[0]),
            details={
                "library": "torchvision",
                "mean": str(tuple(preset.mean)),
                "std": str(tuple(preset.std)),
                "output": "input of the last layer",
                "weights": "own" if own else self._library_weights().name,
                "code_version": "1",
            },
            licence=self._licence(),
        )

    def load(self, device: Device, files: WeightFiles) -> Forward:
        """Build the model, fill it and drop its last layer.

        Raises:
            JobRejected: the weights are not this model's. JobFailed: they cannot be downloaded.
        """
        import torchvision.models

        from worker.models.torch_forward import load_safetensors, torch_forward

        weights = self._library_weights()
        preset = weights.transforms()
        path = self._file(files)
        if isinstance(self.weights, WeightsFile):
            model, head = _headless(self.name, side_px=preset.crop_size[0], device="cpu")
            load_safetensors(model, path, head=[head], at=f"{_AT}.weights")
        else:
            model = torchvision.models.get_model(self.name, weights=weights)
            _behead(model)
        return torch_forward(model, device, mean=_scaled(preset.mean), std=_scaled(preset.std))

    def _library_weights(self) -> Any:
        """Return the library's entry for the named weights, the default ones where the job brings its own."""
        import torchvision.models

        names = torchvision.models.list_models(module=torchvision.models)
        if self.name not in names:
            close = get_close_matches(self.name, names, n=3, cutoff=0)
            raise JobRejected(
                f"{_AT}.name: torchvision has no model {self.name!r}; did you mean {', '.join(close)}?"
            )
        entries = torchvision.models.get_model_weights(self.name)
        wanted = self.weights if isinstance(self.weights, str) else "DEFAULT"
        if wanted not in entries.__members__:
            choices = ", ".join(entries.__members__)
            raise JobRejected(
                f"{_AT}.weights: {self.name} has no weights {wanted[:100]!r}; choose from {choices}"
            )
        return entries[wanted]

    def _file(self, files: WeightFiles) -> Path:
        if isinstance(self.weights, WeightsFile):
            return files.fetch(self.weights.url, sha256=self.weights.sha256)
        return _downloaded(self._library_weights().url)

    def _licence(self) -> str:
        if isinstance(self.weights, WeightsFile):
            return self.weights.licence
        return str(self._library_weights().meta.get("license", "BSD-3-Clause"))


def _downloaded(url: str) -> Path:
    """Return the library's file in its own cache, so that the library finds it there too."""
    import torch.hub

    name = Path(urlsplit(url).path).name
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.is_file():
        digest = re.search(r"-([0-9a-f]{8,})\.", name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), hash_prefix=digest and digest[1], progress=False)
        except (OSError, RuntimeError) as error:
            raise JobFailed(
                f"{_AT}.weights: cannot download {url} ({error}); where there is no network, put it at {path}, "
                "or name a safetensors file as {url, sha256}"
            ) from error
    return path


def _preprocessing(preset: Any) -> Preprocessing:
    return Preprocessing(
        resize=preset.resize_size[0],
        crop=preset.crop_size[0],
        interpolation=preset.interpolation.value,
    )


@cache
def _dimension(name: str, side_px: int) -> int:
    from worker.models.torch_forward import output_dimension

    try:
        model, _ = _headless(name, side_px=side_px, device="meta")
    except NotImplementedError:  # some constructors compute, which needs real tensors
        model = _headless(name, side_px=side_px, device="cpu")[0].to("meta")
    dimension = output_dimension(model, side_px=side_px)
    if dimension is None:
        raise JobRejected(f"{_AT}.name: {name} does not end in vectors; choose another model")
    return dimension


def _headless(name: str, *, side_px: int, device: str) -> tuple["nn.Module", str]:
    """Return a model with random weights, without its last layer, and that layer's name."""
    import torch
    import torchvision.models

    sized = {"image_size": side_px} if name.startswith("vit_") else {}  # fixed by the position embedding
    with torch.device(device):
        model = torchvision.models.get_model(name, weights=None, **sized).eval()
    return model, _behead(model)


def _behead(model: "nn.Module") -> str:
    """Replace the last fully connected layer, or the last convolution where there is none, by nothing; return its name."""
    from torch import nn

    layers = list(model.named_modules())
    linear = [name for name, layer in layers if isinstance(layer, nn.Linear)]
    head = (linear or [name for name, layer in layers if isinstance(layer, nn.Conv2d)])[-1]
    model.set_submodule(head, nn.Identity())
    return head


def _scaled(channels: list[float]) -> Channels:
    red, green, blue = channels
    return 255 * red, 255 * green, 255 * blue
