"""What the models that onnxruntime runs share: the session, and graphs that are made once and kept."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from worker.device import Device


def open_session(graph: bytes, device: Device) -> Any:
    """Return an onnxruntime.InferenceSession. Its threads do not spin while idle: decoders need the cores then."""
    import onnxruntime  # noqa: PLC0415  # listing the choices does without

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = device.threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors; what is worth a warning is in the exceptions too
    available = onnxruntime.get_available_providers()
    providers = [name for name in device.onnx_providers if name in available]
    return onnxruntime.InferenceSession(graph, options, providers=providers)


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
