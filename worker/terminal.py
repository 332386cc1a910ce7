"""What the worker's commands print to, and the exit codes that errors become: those of the client's, and a few more."""

from collections.abc import Iterator
from contextlib import contextmanager

from jobs.cli import FAILED, REFUSED, STOPPED, err, out, stop
from jobs.errors import JobRejected, QueueError, SettingsWrong
from worker.errors import FramesiftError

__all__ = ["err", "exit_codes", "out"]

WORKER_PACKAGES = "this command needs the worker: pip install 'framesift[worker,cpu]' (or gpu)"


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn what can go wrong into one line and an exit code."""
    try:
        yield
    except JobRejected as error:
        raise stop(f"refused: {error}", REFUSED) from error
    except KeyboardInterrupt as error:
        raise stop("stopped; run the same job again to go on from what is finished", STOPPED) from error
    except ModuleNotFoundError as error:
        raise stop(f"failed: {WORKER_PACKAGES} ({error})", FAILED) from error
    except (FramesiftError, QueueError, SettingsWrong, OSError, MemoryError) as error:
        raise stop(f"failed: {error}", FAILED) from error
