"""What the models that onnxruntime runs share: the session, and graphs that are made once and kept."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from worker.device import Device
from worker.embedder import Forward

_PIECE_ROWS = 4

# Read when onnxruntime is imported; without it, the library makes an id for this machine in the home folder.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def open_session(graph: bytes, device: Device) -> Any:
    """Return an onnxruntime.InferenceSession; on a CPU it computes in the thread that calls it, see `spread`."""
    import onnxruntime  # noqa: PLC0415  # listing the choices does without

    options = onnxruntime.SessionOptions()
    if not device.is_cuda:
        options.intra_op_num_threads = 1
    options.log_severity_level = 3  # errors; what is worth a warning is in the exceptions too
    available = onnxruntime.get_available_providers()
    providers = [name for name in device.onnx_providers if name in available]
    return onnxruntime.InferenceSession(graph, options, providers=providers)


def spread(run: Forward, device: Device, *, rows: int | None = None) -> Forward:
    """Return a forward that gives each thread of a CPU a few images at a time, `rows` of them; a GPU gets the batch.

    Small convolutional networks gain more from several images at once than from several threads on one: 66 images/s
    where one session with two threads made 52 (EfficientNet-Lite0, two cores). Pieces do not depend on the number
    of threads, so neither do the vectors.
    """
    if device.is_cuda and rows is None:
        return run
    rows = rows or _PIECE_ROWS
    threads = ThreadPoolExecutor(1 if device.is_cuda else device.threads, thread_name_prefix="forward")

    def forward(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        pieces = [images[start : start + rows] for start in range(0, len(images), rows)]
        return np.concatenate(list(threads.map(run, pieces or [images])))

    return forward


def kept_graph(path: Path, make: Callable[[], bytes]) -> bytes:
    """Return the graph in a file, making it first where there is none; a folder that cannot be written is no error."""
    with suppress(OSError):
        return path.read_bytes()
    graph = make()
    temporary = path.with_name(f".{uuid4().hex}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(graph)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    return graph
