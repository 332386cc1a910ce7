import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from worker.device import Device
from worker.models.onnx_session import kept_graph, spread


def test_kept_graph__makes_it_once(tmp_path: Path) -> None:
    path = tmp_path / "onnx" / "a.onnx"
    assert kept_graph(path, lambda: b"graph") == b"graph"
    assert kept_graph(path, lambda: pytest.fail("made again")) == b"graph"
    assert [found.name for found in path.parent.iterdir()] == ["a.onnx"]


def test_kept_graph__does_without_a_folder(tmp_path: Path) -> None:
    (tmp_path / "onnx").write_text("a file where the folder should be")
    assert kept_graph(tmp_path / "onnx" / "a.onnx", lambda: b"graph") == b"graph"


@pytest.mark.parametrize("count", [0, 1, 4, 11])
def test_spread__keeps_order_and_cuts_alike_for_any_number_of_threads(count: int) -> None:
    images = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)
    for threads in (1, 3):
        sizes: list[int] = []

        def run(piece: NDArray[np.uint8], sizes: list[int] = sizes) -> NDArray[np.float32]:
            sizes.append(len(piece))
            return piece.reshape(len(piece), 1).astype(np.float32)

        vectors = spread(run, Device("cpu", "CPU", threads))(images)
        assert vectors.ravel().tolist() == list(range(count))
        assert sorted(sizes, reverse=True) == {0: [0], 1: [1], 4: [4], 11: [4, 4, 3]}[count]


def test_spread__a_gpu_gets_the_whole_batch() -> None:
    def run(piece: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.full((len(piece), 1), len(piece), np.float32)

    assert (
        spread(run, Device("cuda:0", "a GPU", 4))(np.zeros((9, 1, 1, 3), np.uint8)).ravel().tolist()
        == [9] * 9
    )


def test_onnxruntime__leaves_nothing_in_the_home_folder(tmp_path: Path) -> None:
    program = (
        "import onnx; from onnx import helper, TensorProto as T;"
        "x, y = (helper.make_tensor_value_info(name, T.FLOAT, [1]) for name in 'xy');"
        "graph = helper.make_graph([helper.make_node('Identity', ['x'], ['y'])], 'g', [x], [y]);"
        "model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8);"
        "from worker.device import Device; from worker.models.onnx_session import open_session;"
        "print(open_session(model.SerializeToString(), Device('cpu', 'CPU', 1)).get_inputs()[0].name)"
    )
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"} | {
        "HOME": str(tmp_path)
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "x"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
