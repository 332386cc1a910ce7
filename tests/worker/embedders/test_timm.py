from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from timm.data import create_transform, resolve_data_config

from tests.worker.embedders.local_files import LocalFiles, assert_close, picture, saved, two_images
from worker.device import Device
from worker.embedders.timm import Timm, _dimension, _preprocessing
from worker.errors import JobFailed, JobRejected

CPU = Device("cpu", "CPU", 2)
TINY = "test_resnet.r160_in1k"


def _pooled(model: torch.nn.Module, images: np.ndarray) -> torch.Tensor:
    config = model.pretrained_cfg
    mean, std = torch.tensor(config["mean"]), torch.tensor(config["std"])
    with torch.inference_mode():
        given = ((torch.from_numpy(images) / 255 - mean) / std).permute(0, 3, 1, 2)
        return model.forward_head(model.forward_features(given), pre_logits=True)


@pytest.mark.parametrize(
    ("name", "dimension"),
    [
        ("mobilenetv3_small_050", 1024),
        ("vit_small_patch14_dinov2.lvd142m", 384),
    ],
)
def test_dimension__of_each_family(name: str, dimension: int) -> None:
    assert _dimension(name) == dimension


@pytest.mark.parametrize("name", [TINY, "test_vit"])
def test_load__gives_the_pooled_features(name: str, tmp_path: Path) -> None:
    model = timm.create_model(name, num_classes=7).eval()
    embedder = Timm(name=name, weights=saved(model, tmp_path / "w.safetensors"))
    identity = embedder.identity(LocalFiles())
    images = two_images(identity.preprocessing.crop)
    vectors = embedder.load(CPU, LocalFiles())(images)
    assert vectors.shape == (2, identity.dimension)
    assert_close(vectors, _pooled(model, images).numpy())


@pytest.mark.parametrize("size", [(640, 480), (333, 500), (777, 100), (50, 60)])
@pytest.mark.parametrize(
    "name",
    [
        TINY,
        "vit_small_patch14_dinov2.lvd142m",
        "resnet50.a1_in1k",
        "convnext_base.clip_laion2b_augreg_ft_in12k_in1k_384",
        "mobilenetv3_small_050.lamb_in1k",
    ],
)
def test_preprocessing__is_the_librarys_bit_for_bit(name: str, size: tuple[int, int]) -> None:
    config = resolve_data_config({}, pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
    resize, crop = create_transform(**config).transforms[:2]
    image = picture(*size)
    np.testing.assert_array_equal(_preprocessing(name).pixels(image), np.asarray(crop(resize(image))))


def test_preprocessing__refuses_what_it_cannot_say() -> None:
    with pytest.raises(JobRejected, match="choose a model for square RGB images"):
        _preprocessing("vit_base_patch16_sapiens2.fb")


def test_identity__names_the_choices() -> None:
    with pytest.raises(JobRejected, match=r"no model 'resnet_18'; did you mean .*resnet18"):
        Timm(name="resnet_18").identity(LocalFiles())
    with pytest.raises(JobRejected, match=r"resnet18 has no tag 'b2'; choose from .*a1_in1k"):
        Timm(name="resnet18.b2").identity(LocalFiles())


@pytest.mark.parametrize("name", ["hf-hub:someone/model", "local-dir:/etc", "../x", "a/b"])
def test_name__cannot_be_a_place(name: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        Timm(name=name)


def test_load__refuses_other_weights(tmp_path: Path) -> None:
    other = saved(timm.create_model("test_vit"), tmp_path / "w.safetensors")
    with pytest.raises(JobRejected, match=r"missing: .* and \d+ more; unknown: .* and \d+ more"):
        Timm(name=TINY, weights=other).load(CPU, LocalFiles())


def test_load__takes_the_librarys_weights_from_the_hubs_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = timm.create_model(TINY).eval()
    given = saved(model, tmp_path / "model.safetensors")
    asked = []

    def download(repository: str, name: str, *, local_files_only: bool = False) -> str:
        asked.append((repository, name, local_files_only))
        return given["url"]

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    embedder = Timm(name=TINY)
    images = two_images(160)
    vectors = embedder.load(CPU, LocalFiles())(images)
    assert asked == [("timm/test_resnet.r160_in1k", "model.safetensors", True)]
    assert embedder.identity(LocalFiles()).weights_sha256 == given["sha256"]
    assert_close(vectors, _pooled(model, images).numpy())


def test_identity__says_what_to_do_without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def unreachable(*_: object, local_files_only: bool = False) -> str:
        asked.append(local_files_only)
        raise LocalEntryNotFoundError("not in the cache") if local_files_only else OSError("no route\nmore")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", unreachable)
    with pytest.raises(JobFailed, match=r"cannot download timm/test_resnet.r160_in1k \(no route\)"):
        Timm(name=TINY).identity(LocalFiles())
    assert asked == [True, False]
