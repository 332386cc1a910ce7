"""What this version carries out: anything else in a valid job is refused by name, before any work."""

from collections.abc import Collection, Iterator

from jobs.contract import did_you_mean
from jobs.errors import JobRejected
from jobs.selection import Diversity, Embeddings, Entry, Metadata, Random, Selection, Threshold, Weights
from jobs.spec import Job, SelectionJob
from worker import __version__

VERSION = __version__.rpartition(".")[0]
STRATEGIES = (
    "DIVERSITY on EMBEDDINGS, THRESHOLD and WEIGHTS on METADATA (lightly.* measures) and on RANDOM numbers"
)


def refuse_unsupported(job: Job, measure_keys: Collection[str]) -> None:
    """Refuse a valid job that asks for what this version cannot do.

    `measure_keys` are the names after `lightly.` of the measures whose value is a number.

    Raises:
        JobRejected: names each place and what is available instead, joined by "; ".
    """
    if not isinstance(job, SelectionJob):
        raise JobRejected(_missing("kind", job.kind, "selection"))
    found = [
        *_in_datasource(job),
        *_in_blocks(job),
        *_in_selection(job.selection),
        *(
            problem
            for row, entry in enumerate(job.selection.strategies)
            for problem in _in_entry(f"selection.strategies.{row}", entry, measure_keys)
        ),
    ]
    if found:
        raise JobRejected("; ".join(found))


def _missing(place: str, what: str, available: str = "") -> str:
    text = f"{place}: {what} is not available in framesift {VERSION}"
    return f"{text}; available: {available}" if available else text


def _in_datasource(job: SelectionJob) -> Iterator[str]:
    if job.datasource.process != "all":
        yield _missing("datasource.process", repr(job.datasource.process), "'all'")
    if job.datasource.input_expiration is not None:
        yield _missing("datasource.input_expiration", "leaving out expiring objects")


def _in_blocks(job: SelectionJob) -> Iterator[str]:
    blocks = {
        "video": "sampling of videos",
        "datapool": "a datapool",
        "predictions": "reading predictions",
        "metadata": "reading metadata of your own",
    }
    for name, what in blocks.items():
        if getattr(job, name) is not None:
            yield _missing(name, what)
    if job.limits.max_failed_chunks:
        yield _missing("limits.max_failed_chunks", "going on without a failed chunk", "0")


def _in_selection(selection: Selection) -> Iterator[str]:
    if selection.mode != "objective_product":
        yield _missing("selection.mode", repr(selection.mode), "'objective_product'")
    extras = {
        "lightly_path_regex": "metadata from file names",
        "auto_tasks": "TILING",
        "groups": "selecting groups",
        "quotas": "bounding by quotas",
        "protected": "a protected set",
    }
    for name, what in extras.items():
        if getattr(selection, name):
            yield _missing(f"selection.{name}", what)


def _in_entry(place: str, entry: Entry, measure_keys: Collection[str]) -> Iterator[str]:
    if isinstance(entry.input, Embeddings):
        yield from _in_embeddings(f"{place}.input", entry.input)
    match entry.input, entry.strategy:
        case Embeddings(), Diversity(stopping_condition_minimum_distance=distance):
            if distance is not None:
                yield _missing(f"{place}.strategy.stopping_condition_minimum_distance", "a minimum distance")
        case Metadata(key=key), Threshold() | Weights():
            yield from _in_key(f"{place}.input.key", key, measure_keys)
        case Random(), Threshold() | Weights():
            pass
        case given, strategy:
            yield _missing(f"{place}.strategy.type", f"{strategy.type} on {given.type}", STRATEGIES)
    if isinstance(entry.strategy, Weights):
        yield from _in_weights(f"{place}.strategy", entry.strategy)


def _in_embeddings(place: str, given: Embeddings) -> Iterator[str]:
    if given.task is not None:
        yield _missing(f"{place}.task", "embedding the objects of a task", "whole samples, without task")
    for name in ("dataset_id", "tag_name"):
        if getattr(given, name) is not None:
            yield f"{place}.{name}: there are no LightlyOne datasets and tags here; use input.query"


def _in_key(place: str, key: str, measure_keys: Collection[str]) -> Iterator[str]:
    measures = sorted(f"lightly.{name}" for name in measure_keys)
    if not key.startswith("lightly."):
        yield _missing(place, f"metadata of your own ({key!r})", ", ".join(measures))
    elif key not in measures:
        yield f"{place}: no measure {key!r}; choose from {', '.join(measures)}{did_you_mean(key, measures)}"


def _in_weights(place: str, given: Weights) -> Iterator[str]:
    if given.stopping_condition_max_sum is not None:
        yield _missing(f"{place}.stopping_condition_max_sum", "stopping at a sum")
    if given.target_range is not None:
        yield _missing(f"{place}.target_range", "steering a sum into a range")
