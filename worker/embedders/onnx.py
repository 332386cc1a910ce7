"""Any model in an ONNX file, through onnxruntime."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray
from pydantic import Field

from worker.device import Device
from worker.embedder import MAX_DIMENSION, Channels, Embedder, Forward, Identity, WeightFiles, WeightsFile
from worker.errors import JobRejected
from worker.media.preprocessing import Preprocessing

_AT = "embedding.model"
_MAX_BYTES = 2**31 - 1  # of a protocol buffer
_INPUT_TYPES: dict[str, DTypeLike] = {"tensor(float)": np.float32, "tensor(float16)": np.float16}

_Positive = Annotated[float, Field(gt=0)]


class Onnx(Embedder):
    """A graph with one image input and vectors as an output.

    A pixel p from 0 to 255 reaches the graph as (p / 255 * pixel_max - mean) / std, so `pixel_max` says on which
    scale `mean` and `std` are. They, like the input, are in the order of `colour`. The graph may fix its batch size.
    """

    type: Literal["onnx"] = "onnx"
    model: WeightsFile
    preprocessing: Preprocessing = Field(
        default=Preprocessing(resize=256, crop=224), description="its `crop` is the side of the graph's input"
    )
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    colour: Literal["RGB", "BGR"] = "RGB"
    pixel_max: Literal[1, 255] = 1
    mean: Channels = (0.0, 0.0, 0.0)
    std: tuple[_Positive, _Positive, _Positive] = (1.0, 1.0, 1.0)
    output: str | None = Field(
        default=None, max_length=1000, description="its name; the first one if left out"
    )
    pooling: Literal["none", "mean"] = Field(
        default="none", description="mean: over all positions of the output"
    )
    dimension: int | None = Field(
        default=None, ge=1, le=MAX_DIMENSION, description="needed where the graph does not say it"
    )

    def identity(self, files: WeightFiles) -> Identity:
        """Read the graph for its output's shape.

        Raises:
            JobRejected: the file is not an ONNX graph, keeps weights in other files, or its output does not fit.
        """
        return Identity(
            name="onnx",
            weights_sha256=self.model.sha256.lower(),
            preprocessing=self.preprocessing,
            dimension=self._dimension(_graph(files.fetch(self.model.url, sha256=self.model.sha256))),
            details={
                "layout": self.layout,
                "colour": self.colour,
                "pixel_max": str(self.pixel_max),
                "mean": str(self.mean),
                "std": str(self.std),
                "output": self.output or "the first",
                "pooling": self.pooling,
                "code_version": "1",
            },
            licence=self.model.licence,
        )

    def load(self, device: Device, files: WeightFiles) -> Forward:
        """Open the graph on the GPU, where there is one and this onnxruntime can use it, else on the CPU.

        Raises:
            JobRejected: the graph cannot be run, or its input does not fit.
        """
        from worker.models.onnx_session import open_session, spread  # isort: skip  # before onnxruntime: see there
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        path = files.fetch(self.model.url, sha256=self.model.sha256)
        dimension = self._dimension(_graph(path))
        try:
            session = open_session(path.read_bytes(), device)
        except (
            state.Fail,
            state.InvalidArgument,
            state.InvalidGraph,
            state.InvalidProtobuf,
            state.NotImplemented,
        ) as error:
            raise JobRejected(
                f"{_AT}.model: onnxruntime cannot run it: {str(error).splitlines()[0]}"
            ) from error
        name, dtype, fixed = self._input(session)
        outputs = [self.output or session.get_outputs()[0].name]

        def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
            (found,) = session.run(outputs, {name: self._prepared(images, dtype)})
            return self._pooled(np.asarray(found))

        def run_filled(images: NDArray[np.uint8]) -> NDArray[np.float32]:
            if not len(images):
                return np.empty((0, dimension), np.float32)
            return run(images if fixed is None else _filled(images, fixed))[: len(images)]

        return spread(run_filled, device, rows=fixed)

    def _input(self, session: Any) -> tuple[str, DTypeLike, int | None]:
        """Return the input's name and type, and the batch size if the graph fixes it."""
        inputs = session.get_inputs()
        if len(inputs) != 1:
            names = ", ".join(given.name for given in inputs)
            raise JobRejected(f"{_AT}.model: should have one input, has {len(inputs)}: {names}")
        (given,) = inputs
        if given.type not in _INPUT_TYPES:
            raise JobRejected(
                f"{_AT}.model: input {given.name!r} is {given.type}; should be {' or '.join(_INPUT_TYPES)}"
            )
        side = self.preprocessing.crop
        wanted = (3, side, side) if self.layout == "NCHW" else (side, side, 3)
        shape = given.shape
        fits = len(shape) == 4 and all(
            have == want for have, want in zip(shape[1:], wanted, strict=True) if isinstance(have, int)
        )
        if not fits:
            raise JobRejected(
                f"{_AT}: input {given.name!r} has the shape {shape}, but layout {self.layout} with "
                f"preprocessing.crop {side} gives ['batch', {', '.join(map(str, wanted))}]"
            )
        return given.name, _INPUT_TYPES[given.type], shape[0] if isinstance(shape[0], int) else None

    def _dimension(self, graph: Any) -> int:
        shapes = {value.name: _shape(value) for value in graph.output}
        name = self.output or next(iter(shapes), "")
        if name not in shapes:
            raise JobRejected(f"{_AT}.output: no output {name!r}; choose from {', '.join(shapes) or 'none'}")
        shape = shapes[name]
        found = self._vector_length(name, shape) if shape else None
        if found is not None and self.dimension not in {None, found}:
            raise JobRejected(f"{_AT}.dimension: {self.dimension}, but output {name!r} has the shape {shape}")
        dimension = found or self.dimension
        if dimension is None:
            raise JobRejected(f"{_AT}.dimension: needed, since output {name!r} has the shape {shape}")
        if dimension > MAX_DIMENSION:
            raise JobRejected(
                f"{_AT}.output: {name!r} gives {dimension} numbers; the limit is {MAX_DIMENSION}"
            )
        return dimension

    def _vector_length(self, name: str, shape: list[int | None]) -> int | None:
        """Return d of an output (batch, d), (batch, d, 1, 1), or of one with positions where they are pooled."""
        if self.pooling == "mean" and len(shape) in {3, 4}:
            return shape[self._channel_axis(len(shape))]
        if len(shape) >= 2 and (len(shape) == 2 or all(size in {1, None} for size in shape[2:])):
            return shape[1]
        raise JobRejected(
            f"{_AT}.output: {name!r} has the shape {shape}, not (batch, d); choose another output or pooling 'mean'"
        )

    def _prepared(self, images: NDArray[np.uint8], dtype: DTypeLike) -> NDArray[Any]:
        ordered = images if self.colour == "RGB" else images[..., ::-1]
        scaled = ordered.astype(np.float32) * np.float32(self.pixel_max / 255)
        normal = (scaled - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        placed = normal.transpose(0, 3, 1, 2) if self.layout == "NCHW" else normal
        return np.ascontiguousarray(placed, dtype)

    def _pooled(self, found: NDArray[Any]) -> NDArray[np.float32]:
        if self.pooling == "mean" and found.ndim in {3, 4}:
            channels = self._channel_axis(found.ndim)
            positions = tuple(axis for axis in range(1, found.ndim) if axis != channels)
            return found.astype(np.float32).mean(axis=positions)
        if found.ndim > 2 and found.shape[2:] == (1,) * (found.ndim - 2):
            found = found.reshape(found.shape[:2])
        return found.astype(np.float32)

    def _channel_axis(self, dimensions: int) -> int:
        """Feature maps have the input's layout; sequences are (batch, position, d)."""
        return 1 if dimensions == 4 and self.layout == "NCHW" else dimensions - 1


def _graph(path: Path) -> Any:
    """Return the graph of an ONNX file that is complete in itself."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # comes with onnx

    if path.stat().st_size > _MAX_BYTES:
        raise JobRejected(f"{_AT}.model: more than {_MAX_BYTES} bytes; ONNX files cannot be that large")
    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise JobRejected(f"{_AT}.model: not an ONNX file ({error})") from error
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise JobRejected(
                f"{_AT}.model: tensor {tensor.name!r} lies in another file; save the model as one file"
            )
    return model.graph


def _tensors(message: Any) -> Iterator[Any]:
    """Yield every tensor in a model, however deep (subgraphs, functions, sparse ones)."""
    if message.DESCRIPTOR.name == "TensorProto":
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for item in (value,) if hasattr(value, "DESCRIPTOR") else value:  # else a repeated field
                yield from _tensors(item)


def _shape(value: Any) -> list[int | None]:
    return [
        size.dim_value if size.HasField("dim_value") else None for size in value.type.tensor_type.shape.dim
    ]


def _filled(images: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Return `count` images: those given, then black ones."""
    missing = count - len(images)
    return np.pad(images, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing else images
