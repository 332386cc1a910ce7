"""Copies the selected sources into a local folder, for whoever labels them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile

from worker.errors import JobRejected, ObjectChanged, ObjectMissing
from worker.events import Events
from worker.samples import Source
from worker.storage.store import ObjectStore

LONGEST = 120


def copy_selected(
    selected: Sequence[str],
    sources: Mapping[str, Source],
    *,
    store: ObjectStore,
    folder: Path,
    events: Events,
) -> int:
    """Write each selected source as `<pick>_<name>` into a folder that exists; return how many were written.

    The name is made from the key's last part with everything but letters, digits, `.`, `_` and `-` replaced, so no
    key can lead outside the folder; the pick number keeps names apart.
    """
    width = len(str(len(selected)))
    written = 0
    for pick, name in enumerate(selected, start=1):
        source = sources[name]
        try:
            body = store.get(source.key, etag=source.etag, size=source.size)
        except (ObjectChanged, ObjectMissing) as error:
            events.emit("not_copied", level="warning", text=f"{source.key!r}: {error}")
            continue
        (folder / f"{pick:0{width}}_{safe_name(source.key)}").write_bytes(body)
        written += 1
    return written


def check_folder(folder: Path, *, source: ObjectStore) -> None:
    """Refuse, before any work, a folder that cannot be written to or that the next job would list.

    Raises:
        JobRejected: it is a file, cannot be made, or lies inside the input.
    """
    if f"{folder.resolve()}/".startswith(source.place):
        raise JobRejected(f"--copy-selected: {folder} lies inside the input {source.place}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise JobRejected(f"--copy-selected: cannot write to {folder}: {error.strerror}") from error


def safe_name(key: str) -> str:
    """Return a file name for the last part of a key, harmless on any file system."""
    last = key.rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9._-]", "_", last).lstrip(".")[-LONGEST:] or "unnamed"
