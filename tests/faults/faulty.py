"""A worker with a fault: `python -m tests.faults.faulty worker ...` does what `framesift` does, but for FRAMESIFT_TEST_FAULT.

A pool's processes import this module too, so the fault is in them as well. Faults, separated by commas:

    slow=S         a model call takes S seconds more
    poison=KEY     reading this source kills the process that reads it
    oom            the first model call of a process lacks memory on the GPU, and so does every call on more than two images
    no-lease       leases are always free
    skew=S         this machine's clock is S seconds off
    no-pdf         report.pdf is not drawn, which takes longer than all the rest of a small job
"""

import datetime as datetime_module
import os
import signal
import time
from collections.abc import Callable
from typing import Any

FAULTS = {
    part.partition("=")[0]: part.partition("=")[2]
    for part in os.environ.get("FRAMESIFT_TEST_FAULT", "").split(",")
    if part
}


def skew(seconds: float) -> None:
    """Move this process's clock."""
    real = time.time
    time.time = lambda: real() + seconds

    class Skewed(datetime_module.datetime):
        @classmethod
        def now(cls, tz: datetime_module.tzinfo | None = None) -> "Skewed":
            return cls.fromtimestamp(time.time(), tz)

    datetime_module.datetime = Skewed  # type: ignore[misc]


if "skew" in FAULTS:
    skew(float(FAULTS["skew"]))

from worker import lease, runner  # noqa: E402  # after the clock


def around_the_model(before: Callable[[Any], None]) -> None:
    """Call `before` with the images of each model call."""
    load = runner.load_model

    def loaded(prepared: Any, device: Any) -> Any:
        embedder = load(prepared, device)
        forward = embedder._forward

        def call(images: Any) -> Any:
            before(images)
            return forward(images)

        embedder._forward = call
        return embedder

    runner.load_model = loaded


if "slow" in FAULTS:
    around_the_model(lambda _: time.sleep(float(FAULTS["slow"])))

if "oom" in FAULTS:

    def short_of_memory(images: Any) -> None:
        if len(images) > 2:
            import torch

            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    around_the_model(short_of_memory)

if "no-lease" in FAULTS:
    lease.Lease.take = lambda self: True  # type: ignore[method-assign]
    lease.Lease._beat = lambda self: None  # type: ignore[method-assign]

if "poison" in FAULTS:
    from worker.reading import Reader

    read_one = Reader._read_one

    def poisoned(self: Reader, item: Any) -> Any:
        if item.source.key == FAULTS["poison"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return read_one(self, item)

    Reader._read_one = poisoned  # type: ignore[method-assign]

if "no-pdf" in FAULTS:
    from worker import report

    def refuse(_: str) -> bytes:
        raise report.PdfFailed("a test can do without")

    report.render_pdf = refuse

if __name__ == "__main__":
    from worker.cli import main

    main()
