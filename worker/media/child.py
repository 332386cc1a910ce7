"""A decoding process: reads frames from its standard input, which is a socket, and answers each one there."""

import ctypes
import resource
import signal
import socket
import sys
from collections.abc import Callable
from functools import lru_cache

from worker.media.images import DecodeRequest, decode
from worker.media.limits import Limits
from worker.media.messages import packed, receive, send, to_json

OUT_OF_MEMORY_STATUS = 71
"""Exit status where memory ran out outside of a decode."""

_LARGEST_FILE_BYTES = 1 << 20
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Decode images until the parent closes the socket or dies."""
    serve(_serve)


def serve(answer: Callable[[socket.socket, Limits], None]) -> None:
    """Confine this process, tell the parent that it is ready, then answer until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then closes the socket
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    connection = socket.socket(fileno=0)
    first = receive(connection)
    if first is None:
        return
    limits = Limits.model_validate_json(first[0])
    _confine(limits)
    try:
        send(connection, b"{}")
        answer(connection, limits)
    except MemoryError:
        raise SystemExit(OUT_OF_MEMORY_STATUS) from None
    except ConnectionError:
        return  # the parent is gone, nobody wants the answer


def _serve(connection: socket.socket, limits: Limits) -> None:
    while (frame := receive(connection)) is not None:
        header, body = frame
        result, blobs = packed(decode(bytes(body), _request(header), limits))
        send(connection, to_json(result), *blobs)


def _confine(limits: Limits) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE_BYTES, _LARGEST_FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_AS, (limits.decode_memory_bytes, limits.decode_memory_bytes))


@lru_cache(maxsize=16)
def _request(header: bytes) -> DecodeRequest:
    return DecodeRequest.model_validate_json(header)
