"""An environment for libraries that are compared with, apart from our own, and calls into it."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HERE = Path(__file__).parent
_PINS = _HERE / "peers.txt"


@dataclass(frozen=True, slots=True)
class Measured:
    """What one call took, how far memory rose above that before it, and the (k,) rows it returned."""

    seconds: float
    peak_bytes: int
    rows: NDArray[np.int64]


def peers_python(folder: Path | None = None) -> Path:
    """Return the Python of an environment with all of peers.txt, made now if it is not there.

    Without a folder it lies in the user's cache, under the digest of peers.txt.
    """
    if folder is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = (
            cache / "framesift" / f"peers-{hashlib.blake2b(_PINS.read_bytes(), digest_size=8).hexdigest()}"
        )
    python, done = folder / "bin" / "python", folder / "complete"
    if not done.exists():
        sys.stdout.write(f"installing {_PINS.name} into {folder}\n")
        sys.stdout.flush()
        venv.create(folder, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "-r", str(_PINS)]
        subprocess.run(command, check=True)
        done.touch()
    return python


def call(
    python: Path | str, name: str, x: NDArray[Any], picks: int, *, timeout_s: float = 600.0
) -> Measured | str:
    """Run one call of `benchmarks.peer_calls` in a process of its own, or return why there is no result."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.npy"
        np.save(path, x)
        command = [str(python), "-m", "benchmarks.peer_calls", name, str(path), str(picks)]
        try:
            done = subprocess.run(
                command, cwd=_HERE.parent, capture_output=True, text=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired:
            return f"over {timeout_s:.0f} s"
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return lines[-1] if lines else f"ended with status {done.returncode}"
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return Measured(found["seconds"], found["peak_bytes"], np.array(found["rows"], np.int64))
