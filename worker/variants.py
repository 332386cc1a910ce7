"""The variants of each kind that this worker knows: whatever lies in the folders."""

import worker.embedders
import worker.measures
from worker.embedder import Embedder
from worker.measure import Measure
from worker.registry import Registry

MEASURES: Registry[Measure] = Registry(worker.measures, Measure)
EMBEDDERS: Registry[Embedder] = Registry(worker.embedders, Embedder)


def measure_keys() -> dict[str, str]:
    """Map the keys by which a job names a measure (`lightly.sharpness`) to the measures' names."""
    return {f"lightly.{measure.key}": name for name, measure in MEASURES.by_name.items()}
