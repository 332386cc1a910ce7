"""The samples that a job compares its own with: an earlier job's selection, a datapool, or samples by their names."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jobs.contract import did_you_mean
from jobs.errors import JobRejected
from jobs.inputs import Embeddings, Query
from jobs.selection import Selection
from worker.datapool.frozen import Versions
from worker.datapool.state import living
from worker.datapool.version import Version
from worker.earlier import EarlierSelection, earlier_selection
from worker.facets import Facet
from worker.media.extensions import kind_of
from worker.rendering.text import plural
from worker.storage.store import ObjectStore
from worker.video.names import source_of

NEIGHBOURHOOD = 200
Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Found:
    """The queries of a job by their first places in it, looked up.

    `earlier` has those that name a job, `datapools` those that name a datapool.
    """

    places: Mapping[Query, str]
    earlier: Mapping[Query, EarlierSelection] = field(default_factory=dict)
    datapools: Mapping[Query, Version] = field(default_factory=dict)


def find_queries(
    selection: Selection,
    names: Sequence[str],
    *,
    output: ObjectStore,
    embedding: Facet,
    datapools: Versions,
) -> Found:
    """Look up every query of a selection; `names` are those of the sources in key order, `datapools` the job's.

    Which frames a video has is not known yet, so any name of a frame of a listed video passes.

    Raises:
        JobRejected: a name that the input cannot have, an earlier job that cannot be compared with, or a datapool
            that is empty.
    """
    found: dict[Query, str] = {}
    for query, at in _all(selection):
        found.setdefault(query, at)
    earlier, pools = {}, {}
    for query, at in found.items():
        if query.keys is not None:
            _check_names(query.keys, names, at=f"{at}.keys")
        elif query.job is not None:
            earlier[query] = earlier_selection(output, query.job, embedding=embedding, at=f"{at}.job")
        elif query.datapool is not None:
            version = datapools[query.datapool]
            if version is None or not version.at_most:
                raise JobRejected(f"{at}.datapool: the datapool {query.datapool!r} is empty")
            pools[query] = version
    return Found(found, earlier, pools)


def query_vectors(
    found: Found,
    *,
    output: ObjectStore,
    names: Sequence[str],
    embeddings: Vectors,
    same_as: Mapping[str, str],
    reduced: Callable[[Vectors], Vectors],
) -> tuple[dict[Query, Vectors], tuple[str, ...]]:
    """Return the (q, d) vectors of each query in the space of the (n, d) `embeddings` of `names`, and warnings.

    `same_as` maps exact duplicates to the sample that stays; `reduced` maps a model's full output into the space.

    Raises:
        JobRejected: none of the named samples could be read, or a datapool is empty. JobFailed: an earlier job's chunk or
            a datapool is damaged.
    """
    vectors: dict[Query, Vectors] = {}
    warnings = []
    for query, at in found.places.items():
        if query in found.earlier:
            vectors[query] = reduced(found.earlier[query].vectors(output))
            continue
        if query in found.datapools:
            vectors[query] = _of_datapool(found.datapools[query], output, reduced, at=at)
            continue
        wanted = {same_as.get(name, name) for name in query.keys or ()}
        rows = [row for row, name in enumerate(names) if name in wanted]
        unread = len(wanted) - len(rows)
        if not rows:
            raise JobRejected(
                f"{at}.keys: none of these {len(wanted):,} samples could be read; see skipped.json"
            )
        if unread:
            warnings.append(
                f"{at}.keys: {unread:,} of {len(wanted):,} samples could not be read, so nothing is compared with them."
            )
        vectors[query] = embeddings[rows]
    return vectors, tuple(warnings)


def _of_datapool(
    version: Version, output: ObjectStore, reduced: Callable[[Vectors], Vectors], *, at: str
) -> Vectors:
    blocks = [reduced(added.embeddings) for added in living(output, version)]
    vectors = np.concatenate(blocks) if blocks else np.empty((0, 0), np.float32)
    if not len(vectors):
        raise JobRejected(f"{at}.datapool: the datapool {version.name!r} is empty")
    return vectors


def _all(selection: Selection) -> Iterator[tuple[Query, str]]:
    for place, entry in enumerate(selection.strategies):
        if isinstance(entry.input, Embeddings) and entry.input.query is not None:
            yield entry.input.query, f"selection.strategies.{place}.input.query"
    if selection.protected is not None:
        yield selection.protected.query, "selection.protected.query"


def _check_names(wanted: Sequence[str], names: Sequence[str], *, at: str) -> None:
    known = set(names)
    unknown = [name for name in wanted if source_of(name) not in known or kind_of(name) == "video"]
    if not unknown:
        return
    more = f" (and {len(unknown) - 1:,} more)" if len(unknown) > 1 else ""
    # Comparing with millions of names takes long; a mistyped end leaves the right one near in order.
    place = bisect_left(names, unknown[0])
    near = names[max(0, place - NEIGHBOURHOOD) : place + NEIGHBOURHOOD]
    raise JobRejected(
        f"{at}: {unknown[0]!r}{more} is not among the {_counted(names)} of the input"
        f"{did_you_mean(unknown[0], near)}"
    )


def _counted(names: Sequence[str]) -> str:
    videos = sum(kind_of(name) == "video" for name in names)
    images = len(names) - videos
    if not videos:
        return f"{images:,} samples"
    return f"{plural(images, 'image')} and the frames of {plural(videos, 'video')}"
