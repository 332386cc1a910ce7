from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.models
from safetensors.torch import load_file, save_file
from torchvision.transforms import InterpolationMode

from tests.worker.embedders.local_files import LocalFiles, assert_close, described, picture, saved, two_images
from worker.device import Device
from worker.embedders.torchvision import Torchvision, _dimension, _preprocessing
from worker.errors import JobFailed, JobRejected

CPU = Device("cpu", "CPU", 2)


@pytest.mark.parametrize(
    ("name", "side_px", "dimension"),
    [
        ("resnet18", 224, 512),
        ("efficientnet_b0", 224, 1280),
        ("vit_b_32", 384, 768),
        ("swin_t", 224, 768),
        ("regnet_y_400mf", 224, 440),
        ("squeezenet1_1", 224, 512),
    ],
)
def test_dimension__of_each_family(name: str, side_px: int, dimension: int) -> None:
    assert _dimension(name, side_px) == dimension


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "mobilenet_v3_small"])
def test_load__gives_the_input_of_the_last_layer(name: str, tmp_path: Path) -> None:
    model = torchvision.models.get_model(name, weights=None, num_classes=7).eval()
    seen: list[torch.Tensor] = []
    last = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)][-1]
    last.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    images = two_images(224)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.inference_mode():
        model(((torch.from_numpy(images) / 255 - mean) / std).permute(0, 3, 1, 2))
    embedder = Torchvision(name=name, weights=saved(model, tmp_path / "w.safetensors"))
    vectors = embedder.load(CPU, LocalFiles())(images)
    assert vectors.shape == (2, embedder.identity(LocalFiles()).dimension)
    assert_close(vectors, seen[0].numpy())


@pytest.mark.parametrize("size", [(640, 480), (333, 500), (777, 100), (50, 60)])
@pytest.mark.parametrize("name", ["resnet50", "swin_t"])
def test_preprocessing__is_the_librarys(name: str, size: tuple[int, int]) -> None:
    preset = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    image = picture(*size)
    pixels = torch.from_numpy(_preprocessing(preset).pixels(image).copy()).permute(2, 0, 1) / 255
    ours = (pixels - torch.tensor(preset.mean).view(3, 1, 1)) / torch.tensor(preset.std).view(3, 1, 1)
    torch.testing.assert_close(preset(image), ours, atol=1e-6, rtol=0)


def test_preprocessing__every_preset_of_the_library_can_be_said() -> None:
    for name in torchvision.models.list_models(module=torchvision.models):
        for weights in torchvision.models.get_model_weights(name):
            preset = weights.transforms()
            assert preset.antialias
            assert InterpolationMode(_preprocessing(preset).interpolation) == preset.interpolation


def _refused(embedder: Torchvision) -> str:
    with pytest.raises(JobRejected) as error:
        embedder.load(CPU, LocalFiles())
    return str(error.value)


def test_load__names_the_tensors_that_do_not_fit(tmp_path: Path) -> None:
    given: Any = saved(torchvision.models.resnet18(weights=None), tmp_path / "w.safetensors")
    tensors = load_file(given["url"])
    tensors["conv1.weight"] = torch.zeros(1, 2)
    tensors["extra.weight"] = tensors.pop("bn1.bias")
    save_file(tensors, tmp_path / "wrong.safetensors")
    text = _refused(Torchvision(name="resnet18", weights=described(tmp_path / "wrong.safetensors")))
    assert text == (
        "embedding.model.weights: not the weights of this model: missing: bn1.bias; unknown: extra.weight; "
        "of another shape: conv1.weight [1, 2] instead of [64, 3, 7, 7]"
    )


def test_load__refuses_a_pickle(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pth")
    text = _refused(Torchvision(name="resnet18", weights=described(tmp_path / "w.pth")))
    assert text.startswith("embedding.model.weights: not a safetensors file")


def test_identity__names_the_choices() -> None:
    with pytest.raises(JobRejected, match=r"no model 'resnet_18'; did you mean .*resnet18"):
        Torchvision(name="resnet_18").identity(LocalFiles())
    with pytest.raises(JobRejected, match=r"no weights 'V1'; choose from IMAGENET1K_V1, DEFAULT"):
        Torchvision(name="resnet18", weights="V1").identity(LocalFiles())


def test_identity__says_where_to_put_the_file_without_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", unreachable)
    with pytest.raises(JobFailed, match=r"cannot download .* \(no route to host\).* put it at .*\.pth"):
        Torchvision(name="resnet18").identity(LocalFiles())


def test_load__takes_the_librarys_weights_from_its_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    model = torchvision.models.shufflenet_v2_x0_5(weights=None).eval()
    entry = torchvision.models.get_model_weights("shufflenet_v2_x0_5").DEFAULT
    path = tmp_path / "checkpoints" / Path(entry.url).name
    path.parent.mkdir()
    torch.save(model.state_dict(), path)
    embedder = Torchvision(name="shufflenet_v2_x0_5")
    identity = embedder.identity(LocalFiles())
    assert identity.weights_sha256 == described(path)["sha256"]
    assert identity.details["weights"] == "IMAGENET1K_V1"
    assert identity.licence == "BSD-3-Clause"
    own = Torchvision(name="shufflenet_v2_x0_5", weights=saved(model, tmp_path / "w.safetensors"))
    images = two_images(224)
    found, expected = (one.load(CPU, LocalFiles())(images) for one in (embedder, own))
    np.testing.assert_array_equal(found, expected)
