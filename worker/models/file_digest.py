"""The SHA-256 of a file that does not change while a process lives, such as a model's weights."""

import hashlib
from functools import cache
from pathlib import Path


def file_sha256(path: Path) -> str:
    """Return 64 hexadecimal digits; a file with the same path, size and modification time is read once a process.

    Raises:
        OSError: the file cannot be read.
    """
    facts = path.stat()
    return _digest(path, facts.st_mtime_ns, facts.st_size)


@cache
def _digest(path: Path, mtime_ns: int, size_bytes: int) -> str:
    del mtime_ns, size_bytes  # part of the cache's key only
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
