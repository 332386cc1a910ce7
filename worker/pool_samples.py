"""From a gathered pool to what strategies look at."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.patterns import group_names
from worker.categories import categories_of
from worker.datapool.frozen import Versions
from worker.datapool.state import Kept
from worker.device import Device
from worker.gather import Gathered
from worker.manifest import Plan
from worker.prepare import Prepared
from worker.queries import find_queries, query_vectors
from worker.rules import word_keys
from worker.strategy import Samples, Times
from worker.video.names import source_of


def pool_samples(
    prepared: Prepared,
    plan: Plan,
    gathered: Gathered,
    *,
    datapools: Versions,
    kept: Kept,
    numbers: Mapping[str, NDArray[np.float64]],
    device: Device,
) -> tuple[Samples, tuple[str, ...]]:
    """Return the pool as strategies look at it, and what the reader should know of its queries.

    The (n,) samples of the job come first, then the (p,) that the datapool has kept, which are preselected. `numbers`
    maps keys such as `lightly.sharpness` to (n + p,) values. Categories are those that the job uses and all groups
    of its pattern; their values are those of everything listed, so that a class of which nothing could be read is not
    unknown. A frame's are those of its video. Memory: 8 bytes a sample and category, 16 for times, and the listing's names
    while they are numbered.

    Raises:
        JobRejected: a query cannot be answered. JobFailed: an earlier job's chunk is damaged.
    """
    selection = prepared.job.selection
    own = gathered.samples["sample"].to_pylist()
    names = [*own, *kept.names]
    sources = [
        *gathered.samples["source"].to_pylist(),
        *(one.source for one in kept.members),
        *(source_of(one.source) for one in gathered.left_out()),
    ]
    pattern = selection.lightly_path_regex
    groups = group_names(pattern) if pattern else ()
    categories = categories_of(sources, pattern, keys={*word_keys(selection), *groups})
    output = prepared.output
    found = find_queries(
        selection,
        [source.key for chunk in plan.chunks for source in chunk.sources],
        output=output,
        embedding=prepared.embedding_facet,
        datapools=datapools,
    )
    queries, warnings = query_vectors(
        found,
        output=output,
        names=[*own, *kept.addresses],
        embeddings=gathered.space,
        same_as=gathered.duplicates,
        reduced=gathered.reduced,
    )
    samples = Samples(
        names=names,
        embeddings=gathered.space,
        numbers=numbers,
        categories={key: category.first(len(names)) for key, category in categories.items()},
        queries=queries,
        passed=np.arange(len(names)) < len(own),
        seed=prepared.job.seed,
        device=device,
        preselected=np.arange(len(own), len(names)),
        times=times_of(gathered.samples, len(kept)),
    )
    return samples, warnings


def times_of(samples: pa.Table, others: int) -> Times | None:
    """Return when the frames of a pool and `others` after them, which are none, were seen; None without any frame.

    A video is one stream of one source; images have no stream.
    """
    if "stream" not in samples.column_names or samples["stream"].null_count == samples.num_rows:
        return None
    is_frame = samples["stream"].is_valid().to_numpy()
    frames = samples.select(["source", "stream", "time_s"]).filter(pa.array(is_frame))
    is_next = np.zeros(frames.num_rows - 1, np.bool_)
    for name in ("source", "stream"):
        numbered = frames[name].combine_chunks().dictionary_encode()
        is_next |= np.diff(numbered.indices.to_numpy()) != 0
    places, count = np.flatnonzero(is_frame), samples.num_rows + others
    videos, seconds = np.full(count, -1), np.full(count, np.nan)
    videos[places] = np.concatenate([[0], np.cumsum(is_next)])
    seconds[places] = frames["time_s"].to_numpy()
    return Times(videos, seconds)
