from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.worker.embedders.local_files import LocalFiles, described, two_images
from worker.device import Device
from worker.embedders.onnx import Onnx
from worker.errors import JobRejected
from worker.media.preprocessing import Preprocessing

CPU = Device("cpu", "CPU", 1)
FOUR = Preprocessing(resize=4, crop=4)
WEIGHTS = np.array([[1, 0, 0], [0, 2, 0], [0, 0, 3], [1, 1, 1]], np.float32)  # (d, 3)


def _file(
    folder: Path,
    *,
    batch: int | str = "batch",
    shape: tuple[int, ...] = (3, 4, 4),
    out: tuple[int | str, ...] = (4, "h", "w"),
    dtype: int = TensorProto.FLOAT,
    pooled: bool = False,
) -> dict[str, Any]:
    """Write a 1 x 1 convolution from NCHW, with a second output that is the input itself."""
    kernel = numpy_helper.from_array(WEIGHTS.reshape(4, 3, 1, 1), "kernel")
    nodes = [helper.make_node("Conv", ["images", "kernel"], ["maps"])]
    if pooled:
        nodes.append(helper.make_node("GlobalAveragePool", ["maps"], ["vectors"]))
    nodes.append(helper.make_node("Identity", ["images"], ["same"]))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("images", dtype, [batch, *shape])],
        [
            helper.make_tensor_value_info("vectors" if pooled else "maps", dtype, [batch, *out]),
            helper.make_tensor_value_info("same", dtype, [batch, *shape]),
        ],
        [kernel],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = folder / "m.onnx"
    onnx.save(model, path)
    return described(path)


def _expected(images: NDArray[np.uint8], mean: Any = (0, 0, 0), std: Any = (1, 1, 1)) -> NDArray[Any]:
    return (((images / 255 - mean) / std).mean(axis=(1, 2)) @ WEIGHTS.T).astype(np.float32)


def _vectors(given: dict[str, Any], **parameters: Any) -> NDArray[np.float32]:
    embedder = Onnx.model_validate({"type": "onnx", "model": given, "preprocessing": FOUR, **parameters})
    vectors = embedder.load(CPU, LocalFiles())(two_images(4))
    assert vectors.shape == (2, embedder.identity(LocalFiles()).dimension)
    assert vectors.dtype == np.float32
    return vectors


def _refused(given: dict[str, Any], **parameters: Any) -> str:
    with pytest.raises(JobRejected) as error:
        _vectors(given, **parameters)
    return str(error.value)


def test_load__means_over_the_positions(tmp_path: Path) -> None:
    mean, std = [0.4, 0.5, 0.6], [0.1, 0.2, 0.3]
    vectors = _vectors(_file(tmp_path), pooling="mean", mean=mean, std=std)
    np.testing.assert_allclose(vectors, _expected(two_images(4), mean, std), atol=1e-5)


def test_load__flattens_single_positions(tmp_path: Path) -> None:
    vectors = _vectors(_file(tmp_path, pooled=True, out=(4, 1, 1)))
    np.testing.assert_allclose(vectors, _expected(two_images(4)), atol=1e-6)


def test_load__orders_colours_and_scales(tmp_path: Path) -> None:
    vectors = _vectors(_file(tmp_path), pooling="mean", colour="BGR", pixel_max=255)
    np.testing.assert_allclose(vectors, 255 * _expected(two_images(4)[..., ::-1]), rtol=1e-5, atol=1e-3)


def test_load__takes_nhwc(tmp_path: Path) -> None:
    vectors = _vectors(_nhwc(tmp_path), layout="NHWC", pooling="mean")
    np.testing.assert_allclose(vectors, two_images(4).mean(axis=(1, 2)) / 255, atol=1e-6)


def _nhwc(folder: Path) -> dict[str, Any]:
    value = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["b", 4, 4, 3])
    out = helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["b", 4, 4, 3])
    graph = helper.make_graph([helper.make_node("Identity", ["images"], ["maps"])], "g", [value], [out])
    path = folder / "nhwc.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return described(path)


@pytest.mark.parametrize("batch", [1, 3])
def test_load__keeps_to_a_fixed_batch(tmp_path: Path, batch: int) -> None:
    vectors = _vectors(_file(tmp_path, batch=batch), pooling="mean")
    np.testing.assert_allclose(vectors, _expected(two_images(4)), atol=1e-6)


def test_identity__takes_the_declared_dimension(tmp_path: Path) -> None:
    given = _file(tmp_path, out=("d", "h", "w"))
    assert _vectors(given, pooling="mean", dimension=4).shape == (2, 4)
    assert "embedding.model.dimension: needed" in _refused(given, pooling="mean")


def test_identity__refuses_another_dimension(tmp_path: Path) -> None:
    assert "embedding.model.dimension: 5, but output 'maps'" in _refused(
        _file(tmp_path), pooling="mean", dimension=5
    )


def test_identity__names_the_outputs(tmp_path: Path) -> None:
    assert _refused(_file(tmp_path), output="pool") == (
        "embedding.model.output: no output 'pool'; choose from maps, same"
    )


def test_identity__refuses_maps_without_pooling(tmp_path: Path) -> None:
    text = _refused(_file(tmp_path, out=(4, 4, 4)))
    assert "'maps' has the shape [None, 4, 4, 4], not (batch, d)" in text


def test_load__refuses_another_input(tmp_path: Path) -> None:
    text = _refused(_file(tmp_path, shape=(3, 8, 8)), pooling="mean")
    assert (
        "input 'images' has the shape ['batch', 3, 8, 8], but layout NCHW with preprocessing.crop 4" in text
    )


def test_identity__refuses_weights_in_other_files(tmp_path: Path) -> None:
    model = onnx.load(_file(tmp_path)["url"])
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.bin", size_threshold=0)
    text = _refused(described(tmp_path / "m.onnx"), pooling="mean")
    assert text == "embedding.model.model: tensor 'kernel' lies in another file; save the model as one file"


def test_identity__refuses_external_tensors_inside_a_node(tmp_path: Path) -> None:
    model = onnx.load(_file(tmp_path)["url"])
    hidden = helper.make_tensor("hidden", TensorProto.FLOAT, [1], [0.0])
    hidden.ClearField("float_data")
    hidden.data_location = TensorProto.EXTERNAL
    model.graph.node.append(helper.make_node("Constant", [], ["x"], value=hidden))
    onnx.save(model, tmp_path / "m.onnx")
    assert "tensor 'hidden'" in _refused(described(tmp_path / "m.onnx"), pooling="mean")


def test_identity__refuses_another_file(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\xff\xd8 a photo")
    assert "embedding.model.model: not an ONNX file" in _refused(described(tmp_path / "m.onnx"))


def test_load__says_what_onnxruntime_says(tmp_path: Path) -> None:
    model = onnx.load(_file(tmp_path)["url"])
    model.graph.node[0].op_type = "Convolve"
    onnx.save(model, tmp_path / "m.onnx")
    text = _refused(described(tmp_path / "m.onnx"), pooling="mean")
    assert text.startswith("embedding.model.model: onnxruntime cannot run it: ")
    assert "Convolve" in text
