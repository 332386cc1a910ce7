"""Any model of timm, by name, without its classifier."""

from difflib import get_close_matches
from functools import cache
from math import floor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from worker.device import Device
from worker.embedder import Channels, Embedder, Forward, Identity, WeightFiles, WeightsFile
from worker.errors import JobFailed, JobRejected
from worker.media.preprocessing import Preprocessing
from worker.models.file_digest import file_sha256

if TYPE_CHECKING:
    from torch import nn

_AT = "embedding.model"
_FILE = "model.safetensors"


class Timm(Embedder):
    """The pooled features of a timm model, e.g. 384 of `vit_small_patch14_dinov2.lvd142m`.

    Images are prepared as the model's own configuration says. A file that the job brings holds the model's tensors
    under the library's names; the classifier is not used and may have any number of classes, or be left out.
    """

    type: Literal["timm"] = "timm"
    # No more than a name: the library would take "hf-hub:..." and "local-dir:..." as places to load from.
    name: str = Field(
        pattern=r"^[a-z0-9_]{1,100}(\.[a-z0-9_]{1,100})?$", description="as in timm.list_models()"
    )
    weights: Literal["pretrained"] | WeightsFile = Field(
        default="pretrained", description="the library's, or a safetensors file: {url, sha256}"
    )

    def identity(self, files: WeightFiles) -> Identity:
        """Digest the weights, which are downloaded where the hub's cache lacks them.

        Raises:
            JobRejected: no such model, or one whose preparation of images cannot be followed.
            JobFailed: the library's weights cannot be downloaded.
        """
        config = _config(self.name)
        own = isinstance(self.weights, WeightsFile)
        return Identity(
            name=self.name,
            weights_sha256=file_sha256(self._file(files)),
            preprocessing=_preprocessing(self.name),
            dimension=_dimension(self.name),
            details={
                "library": "timm",
                "mean": str(config["mean"]),
                "std": str(config["std"]),
                "output": "pooled features",
                "weights": "own" if own else _hub_id(self.name),
                "code_version": "1",
            },
            licence=self.weights.licence
            if isinstance(self.weights, WeightsFile)
            else _card(self.name).license or "not stated",
        )

    def load(self, device: Device, files: WeightFiles) -> Forward:
        """Build the model without a classifier and fill it.

        Raises:
            JobRejected: the weights are not this model's. JobFailed: they cannot be downloaded.
        """
        import timm

        from worker.models.torch_forward import load_safetensors, torch_forward

        config = _config(self.name)
        path = self._file(files)
        if isinstance(self.weights, WeightsFile):
            model = timm.create_model(self.name, num_classes=0)
            load_safetensors(model, path, head=_classifiers(model), at=f"{_AT}.weights")
        else:
            given = {"file": str(path), "custom_load": False}
            model = timm.create_model(self.name, pretrained=True, num_classes=0, pretrained_cfg_overlay=given)
        return torch_forward(model, device, mean=_scaled(config["mean"]), std=_scaled(config["std"]))

    def _file(self, files: WeightFiles) -> Path:
        if isinstance(self.weights, WeightsFile):
            return files.fetch(self.weights.url, sha256=self.weights.sha256)
        return _downloaded(self.name)


def _downloaded(name: str) -> Path:
    """Return the library's file in the hub's cache; the network is asked only where it is not there yet."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    repository = _hub_id(name)
    try:
        return Path(hf_hub_download(repository, _FILE, local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    try:
        return Path(hf_hub_download(repository, _FILE))
    except (OSError, ValueError) as error:
        raise JobFailed(
            f"{_AT}.weights: cannot download {repository} ({str(error).splitlines()[0]}); where there is no network, "
            "bring the hub's cache along (HF_HOME), or name a safetensors file as {url, sha256}"
        ) from error


def _hub_id(name: str) -> str:
    hub_id = _card(name).hf_hub_id
    if not hub_id:
        raise JobRejected(
            f"{_AT}.weights: the hub has none for {name}; name a safetensors file as {{url, sha256}}"
        )
    return str(hub_id)


def _card(name: str) -> Any:
    """Return the library's facts about a model, tag included."""
    import timm

    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        close = get_close_matches(architecture, timm.list_models(), n=3, cutoff=0)
        raise JobRejected(f"{_AT}.name: timm has no model {architecture!r}; did you mean {', '.join(close)}?")
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise JobRejected(
            f"{_AT}.name: {architecture} has no tag {tag!r}; choose from {', '.join(tags) or 'none'}"
        )
    return timm.get_pretrained_cfg(name)


def _config(name: str) -> dict[str, Any]:
    from timm.data.config import resolve_data_config

    config: dict[str, Any] = resolve_data_config(  # type: ignore[no-untyped-call]
        {}, pretrained_cfg=_card(name).to_dict()
    )
    return config


def _preprocessing(name: str) -> Preprocessing:
    config = _config(name)
    channels, height, width = config["input_size"]
    if channels != 3 or height != width or config["crop_mode"] not in {"center", "squash"}:
        raise JobRejected(
            f"{_AT}.name: {name} wants {channels} x {height} x {width} with crop mode {config['crop_mode']!r}; "
            "choose a model for square RGB images with crop mode 'center' or 'squash'"
        )
    return Preprocessing(
        resize=floor(height / config["crop_pct"]),
        crop=height,
        keep_aspect=config["crop_mode"] == "center",
        interpolation=config["interpolation"],
    )


@cache
def _dimension(name: str) -> int:
    import timm
    import torch

    from worker.models.torch_forward import output_dimension

    with torch.device("meta"):
        model = timm.create_model(name, num_classes=0).eval()
    dimension = output_dimension(model, side_px=_preprocessing(name).crop)
    if dimension is None:
        raise JobRejected(f"{_AT}.name: {name} does not end in vectors; choose another model")
    return dimension


def _classifiers(model: "nn.Module") -> tuple[str, ...]:
    names: str | tuple[str, ...] = model.pretrained_cfg.get("classifier") or ()  # type: ignore[union-attr, operator]
    return (names,) if isinstance(names, str) else tuple(names)


def _scaled(channels: tuple[float, ...]) -> Channels:
    red, green, blue = channels
    return 255 * red, 255 * green, 255 * blue
