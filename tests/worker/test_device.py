import os
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from worker.device import (
    Device,
    assign_gpu,
    choose_device,
    cpu_count,
    is_out_of_memory,
    memory_bytes,
    precision_of,
)
from worker.errors import JobFailed


def test_choose_device__cpu() -> None:
    device = choose_device("cpu")
    assert device.torch_name == "cpu"
    assert device.threads >= 1
    assert device.onnx_providers == ["CPUExecutionProvider"]


def test_choose_device__cuda_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert not choose_device("auto").is_cuda
    with pytest.raises(JobFailed, match="FRAMESIFT_DEVICE"):
        choose_device("cuda")


@pytest.mark.parametrize(
    ("quota", "cpus"),
    [
        ("max 100000", 8),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("6400000 100000", 8),
        ("nonsense", 8),
        (None, 8),
    ],
)
def test_cpu_count__keeps_to_the_quota_of_its_container(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quota: str | None, cpus: int
) -> None:
    if quota is not None:
        (tmp_path / "cpu.max").write_text(f"{quota}\n")
    monkeypatch.setattr("worker.device._CPU_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    assert cpu_count() == cpus


def test_precision_of__asks_torch_only_where_there_is_a_driver(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def choose(choice: str) -> Device:
        asked.append(choice)
        return Device("cuda:0", "a GPU", 1, "bfloat16")

    monkeypatch.setattr("worker.device.choose_device", choose)
    monkeypatch.setattr("worker.device._GPU_DRIVER", (str(tmp_path / "driver"),))
    assert precision_of("auto") == "float32"
    (tmp_path / "driver").touch()
    assert precision_of("cpu") == "float32"
    assert asked == []
    assert precision_of("auto") == "bfloat16"


def test_device__cuda_falls_back_to_the_cpu_in_onnxruntime() -> None:
    assert Device("cuda:0", "a GPU", 4).onnx_providers == ["CUDAExecutionProvider", "CPUExecutionProvider"]


def test_is_out_of_memory__torch() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**60)
    assert is_out_of_memory(error.value)


def test_is_out_of_memory__onnxruntime() -> None:
    given = helper.make_tensor_value_info("shape", TensorProto.INT64, [1])
    out = helper.make_tensor_value_info("zeros", TensorProto.FLOAT, ["n"])
    node = helper.make_node("ConstantOfShape", ["shape"], ["zeros"])
    model = helper.make_model(
        helper.make_graph([node], "g", [given], [out]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    with pytest.raises(Exception, match="alloc") as error:
        session.run(None, {"shape": np.array([2**50], np.int64)})
    assert is_out_of_memory(error.value)


@pytest.mark.parametrize(
    "error", [ValueError("Failed to allocate memory"), RuntimeError("shape mismatch"), OSError("no space")]
)
def test_is_out_of_memory__not(error: Exception) -> None:
    assert not is_out_of_memory(error)


@pytest.mark.parametrize(("limit", "is_limited"), [("12345678\n", True), ("max\n", False)])
def test_memory_bytes__keeps_to_the_limit_of_its_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, is_limited: bool
) -> None:
    (tmp_path / "memory.max").write_text(limit)
    monkeypatch.setattr("worker.device._MEMORY_LIMITS", (tmp_path / "memory.max", tmp_path / "none"))
    assert (memory_bytes() == 12345678) == is_limited
    assert memory_bytes() > 0


@pytest.mark.parametrize(
    ("allowed", "index", "left"),
    [
        ("GPU-a,GPU-b", 0, "GPU-a"),
        ("GPU-a, GPU-b", 1, "GPU-b"),
        ("2,5,7", 4, "5"),
        ("3", 1, "3"),
        ("", 0, ""),
    ],
)
def test_assign_gpu__gives_each_process_one_of_those_allowed(
    monkeypatch: pytest.MonkeyPatch, allowed: str, index: int, left: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed)
    assign_gpu(index)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == left


@pytest.mark.parametrize(("count", "left"), [(0, None), (1, None), (2, "1"), (4, "1")])
def test_assign_gpu__where_all_are_allowed(
    monkeypatch: pytest.MonkeyPatch, count: int, left: str | None
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "to be restored")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr("worker.device._gpus_by_driver", lambda: count)
    assign_gpu(1)
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == left
