"""Decoding in child processes, so that an image that hangs, crashes or swallows memory costs itself alone."""

import json
from collections.abc import Sequence
from functools import lru_cache
from time import monotonic
from typing import Self

from worker.media.children import Children, command_of
from worker.media.images import DecodeRequest
from worker.media.limits import Limits
from worker.media.messages import unpacked
from worker.samples import Decoded, Skipped, SkipReason

_COMMAND = command_of("worker.media.child")


class Decoders:
    """A pool of `processes` decoding processes, each started when it is first needed.

    `decode` may be called from any thread; leave the context only when all calls have returned. Memory:
    `limits.decode_memory_bytes` of address space a process. A process sees none of its parent's credentials: it gets
    no open files and only the variables that Python needs.
    """

    def __init__(self, processes: int, limits: Limits, *, command: Sequence[str] = _COMMAND) -> None:
        self._limits = limits
        self._children = Children(processes, limits, command)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._children.close()

    def decode(self, body: bytes, request: DecodeRequest) -> Decoded | Skipped:
        """Decode one image, waiting for a free process first.

        An image that its process does not survive is skipped and not tried again.

        Raises:
            JobFailed: a decoding process does not start.
        """
        timeout_s = self._limits.decode_timeout_s
        with self._children.one() as child:
            deadline = monotonic() + timeout_s
            try:
                taken = child.send(_json(request), body, timeout_s=timeout_s)
                answer = child.receive(timeout_s=deadline - monotonic()) if taken else None
            except TimeoutError:
                child.kill()
                return Skipped(SkipReason.DECODE_TIMEOUT, f"not decoded within {timeout_s:g} s")
            if answer is None:
                return child.death()
            header, blob = answer
            return unpacked(json.loads(header), blob)


@lru_cache(maxsize=16)
def _json(request: DecodeRequest) -> bytes:
    return request.model_dump_json().encode()
