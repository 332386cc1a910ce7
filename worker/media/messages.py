"""What travels between a decoding process and its parent: a JSON header and bytes, each with its length in front."""

import json
import struct
from socket import socket
from time import monotonic
from typing import Any

import numpy as np

from worker.samples import Decoded, Skipped, SkipReason

_LENGTHS = struct.Struct("<IQ")


def send(connection: socket, header: bytes, *blobs: bytes | memoryview) -> None:
    """Send one frame.

    Raises:
        TimeoutError: the other side did not take it within the socket's timeout.
        OSError: the other side is gone.
    """
    connection.sendall(_LENGTHS.pack(len(header), sum(len(blob) for blob in blobs)) + header)
    for blob in blobs:
        connection.sendall(blob)


def receive(connection: socket, *, deadline: float | None = None) -> tuple[bytes, bytearray] | None:
    """Return the next frame's header and bytes, or None where the other side has closed or died.

    Raises:
        TimeoutError: the frame was not there at `deadline` (seconds on the monotonic clock).
    """
    lengths = _read(connection, _LENGTHS.size, deadline)
    if lengths is None:
        return None
    header_bytes, blob_bytes = _LENGTHS.unpack(lengths)
    header = _read(connection, header_bytes, deadline)
    blob = _read(connection, blob_bytes, deadline)
    return None if header is None or blob is None else (bytes(header), blob)


def packed(result: Decoded | Skipped) -> tuple[dict[str, Any], tuple[bytes | memoryview, ...]]:
    """Return a result as what JSON can hold, and its pixels, thumbnail and image."""
    if isinstance(result, Skipped):
        return {"reason": result.reason, "detail": result.detail}, ()
    pixels = memoryview(b"") if result.pixels is None else np.ascontiguousarray(result.pixels).data.cast("B")
    header: dict[str, Any] = {
        "format": result.format,
        "width": result.width,
        "height": result.height,
        "seen_px": result.seen_px,
        "measures": result.measures,
        "full_measures": result.full_measures,
        "shape": None if result.pixels is None else result.pixels.shape,
        "thumbnail": None if result.thumbnail is None else len(result.thumbnail),
        "image": None if result.image is None else len(result.image),
    }
    return header, (pixels, result.thumbnail or b"", result.image or b"")


def unpacked(header: dict[str, Any], blob: bytearray) -> Decoded | Skipped:
    """Return the result that `packed` took apart."""
    if "reason" in header:
        return Skipped(SkipReason(header["reason"]), header["detail"])
    fields = dict(header)
    shape, thumbnail, image = fields.pop("shape"), fields.pop("thumbnail"), fields.pop("image")
    count = int(np.prod(shape)) if shape else 0
    rest = memoryview(blob)[count:]
    return Decoded(
        **{**fields, "seen_px": tuple(fields["seen_px"])},
        pixels=np.frombuffer(blob, np.uint8, count=count).reshape(shape) if shape else None,
        thumbnail=None if thumbnail is None else bytes(rest[:thumbnail]),
        image=None if image is None else bytes(rest[len(rest) - image :]),
    )


def to_json(header: dict[str, Any]) -> bytes:
    """Return a header as it is sent."""
    return json.dumps(header, separators=(",", ":")).encode()


def _read(connection: socket, count: int, deadline: float | None) -> bytearray | None:
    buffer = bytearray(count)
    view = memoryview(buffer)
    while view:
        if deadline is not None:
            left = deadline - monotonic()
            if left <= 0:
                raise TimeoutError
            connection.settimeout(left)
        try:
            got = connection.recv_into(view)
        except ConnectionError:
            return None
        if not got:
            return None
        view = view[got:]
    return buffer
