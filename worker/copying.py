"""Copies the selected samples into a local folder, for whoever labels them."""

import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

from worker.device import choose_device
from worker.errors import JobRejected, ObjectChanged, ObjectMissing
from worker.events import Events
from worker.frame_images import read_frames
from worker.media.images import DecodeRequest
from worker.prepare import Prepared
from worker.runner import Outcome, open_reader
from worker.samples import Decoded, Skipped
from worker.storage.store import ObjectStore

LONGEST = 120


def copy_selected(outcome: Outcome, prepared: Prepared, *, folder: Path, events: Events) -> int:
    """Write each selected image, and each frame as PNG, as `<pick>_<name>` into a folder; return how many were written.

    The name is made from the sample's last part with everything but letters, digits, `.`, `_` and `-` replaced, so no
    key can lead outside the folder; the pick number keeps names apart.
    """
    width = len(str(len(outcome.selected)))
    picks = {
        name: f"{pick:0{width}}_{safe_name(name)}" for pick, name in enumerate(outcome.selected, start=1)
    }
    written = 0
    for name, body in _bodies(outcome, prepared):
        if isinstance(body, bytes):
            (folder / picks[name]).write_bytes(body)
            written += 1
        else:
            events.emit("not_copied", level="warning", text=f"{name!r}: {body}")
    return written


def _bodies(outcome: Outcome, prepared: Prepared) -> Iterator[tuple[str, bytes | str]]:
    """Yield what each selected sample is as a file, or why there is none."""
    for name in outcome.selected:
        if name not in outcome.frames:
            source = outcome.sources[name]
            try:
                yield name, prepared.source.get(source.key, etag=source.etag, size=source.size)
            except (ObjectChanged, ObjectMissing) as error:
                yield name, str(error)
    if not outcome.frames:
        return
    with open_reader(prepared, choose_device("cpu")) as reader:
        for name, result in read_frames(
            outcome.selected,
            outcome.frames,
            sources=outcome.sources,
            videos=reader.videos,
            request=DecodeRequest(image_format="png"),
        ):
            if isinstance(result, Decoded) and result.image is not None:
                yield name, result.image
            elif isinstance(result, Skipped):
                yield name, result.detail


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
