"""Small nights: folders of photos, one job each, into one datapool."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from tests.photos import make_photos
from tests.worker.runs import DIVERSITY, artefact, job, prepared, select
from worker.datapool.increments import Members
from worker.datapool.state import living, read_projection
from worker.datapool.version import Version, read_version
from worker.gather import reduced
from worker.projection import Projection
from worker.runner import Made
from worker.storage.local import LocalStore

POOL = "kept"


def nights(folder: Path, *sizes: int) -> list[Path]:
    """Make folders night1, night2, ... of so many photos, all different, under names that begin anew each night."""
    made, first = [], 0
    for number, size in enumerate(sizes, start=1):
        night = folder / f"night{number}"
        make_photos(night, size, first=first)
        for place, path in enumerate(sorted(night.iterdir())):
            path.rename(night / f"{place:03}.jpg")
        made.append(night)
        first += size
    return made


def text(
    source: Path,
    out: Path,
    *,
    n: int = 4,
    strategies: Any = (DIVERSITY,),
    name: str = "night",
    **changes: Any,
) -> dict[str, Any]:
    """Return the job of one night."""
    selection = {"n_samples": n, "strategies": list(strategies), **changes.pop("selection", {})}
    return job(source, out, selection=selection, name=name, **{"datapool": {"name": POOL}, **changes})


def finished(document: dict[str, Any], **settings: Any) -> Made:
    """Run a job as if to its end, without the report."""
    made = select(prepared(document, **settings))
    made.results.close("done")
    return made


def pool(out: Path, name: str = POOL) -> Version:
    """Return the datapool as it is now."""
    found = read_version(LocalStore(out), name)
    assert found is not None
    return found


def members(out: Path, name: str = POOL) -> list[Members]:
    """Return the samples of the datapool by increment."""
    return list(living(LocalStore(out), pool(out, name)))


def addresses(out: Path, name: str = POOL) -> list[str]:
    """Return where the samples of the datapool came from, in order."""
    return [one.identity.address for added in members(out, name) for one in added.members]


def projection(out: Path) -> Projection:
    """Return the stored projection."""
    return read_projection(LocalStore(out), pool(out))


def kept_vectors(out: Path) -> np.ndarray:
    """Return the (p, k) reduced embeddings of the datapool."""
    full = np.concatenate([added.embeddings for added in members(out)])
    return reduced(projection(out), full, normalized=True)


def samples(made: Made) -> Any:
    """Return samples.parquet as a table."""
    return pq.read_table(BytesIO(artefact(made, "samples.parquet")))


def vectors(made: Made) -> np.ndarray:
    """Return the (n, k) embeddings of a job's samples, in key order."""
    return np.array(samples(made)["embedding"].to_pylist(), np.float32)


def skipped(made: Made) -> list[tuple[str, str, str]]:
    """Return skipped.json as tuples."""
    return [
        (one["source"], one["reason"], one["detail"]) for one in json.loads(artefact(made, "skipped.json"))
    ]
