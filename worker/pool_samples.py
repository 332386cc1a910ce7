"""From a gathered pool to what strategies look at."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from worker.categories import categories_of, category_keys
from worker.datapool.frozen import Versions
from worker.datapool.state import Kept
from worker.device import Device
from worker.gather import Gathered
from worker.manifest import Plan
from worker.prepare import Prepared
from worker.queries import find_queries, query_vectors
from worker.strategy import Samples


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
    unknown. Memory: 8 bytes a sample and category, and the listing's names while they are numbered.

    Raises:
        JobRejected: a query cannot be answered. JobFailed: an earlier job's chunk is damaged.
    """
    selection = prepared.job.selection
    own = gathered.samples["sample"].to_pylist()
    names = [*own, *kept.names]
    others = [one.source for one in gathered.left_out()]
    pattern = selection.lightly_path_regex
    groups = [key for key in category_keys(pattern) if not key.startswith("lightly.")]
    categories = categories_of([*names, *others], pattern, keys={*selection.metadata_keys(), *groups})
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
    )
    return samples, warnings
