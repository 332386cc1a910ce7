"""What this version carries out: anything else in a valid job is refused by name, before any work."""

from collections.abc import Collection, Iterator

from jobs.contract import did_you_mean
from jobs.errors import JobRejected
from jobs.patterns import group_names
from jobs.selection import Balance, Embeddings, Entry, Metadata, Selection
from jobs.spec import Job, SelectionJob
from worker import __version__
from worker.categories import category_keys

VERSION = __version__.rpartition(".")[0]
_INPUTS = "EMBEDDINGS, METADATA, RANDOM"


def refuse_unsupported(job: Job, measure_keys: Collection[str]) -> None:
    """Refuse a valid job that asks for what this version cannot do, or for metadata that it does not know.

    `measure_keys` are the names after `lightly.` of the measures whose value is a number.

    Raises:
        JobRejected: names each place and what is available instead, joined by "; ".
    """
    if not isinstance(job, SelectionJob):
        raise JobRejected(_missing("kind", job.kind, "selection"))
    found = [
        *_in_blocks(job),
        *_in_selection(job.selection),
        *_in_keys(job.selection, [f"lightly.{name}" for name in measure_keys]),
    ]
    if found:
        raise JobRejected("; ".join(found))


def _missing(place: str, what: str, available: str = "") -> str:
    text = f"{place}: {what} is not available in framesift {VERSION}"
    return f"{text}; available: {available}" if available else text


def _in_blocks(job: SelectionJob) -> Iterator[str]:
    blocks = {
        "predictions": "reading predictions",
        "metadata": "reading metadata of your own",
    }
    for name, what in blocks.items():
        if getattr(job, name) is not None:
            yield _missing(name, what)


def _in_selection(selection: Selection) -> Iterator[str]:
    if selection.auto_tasks:
        yield _missing("selection.auto_tasks", "TILING")
    for row, entry in enumerate(selection.strategies):
        yield from _in_entry(f"selection.strategies.{row}", entry)


def _in_entry(place: str, entry: Entry) -> Iterator[str]:
    given = entry.input
    if given.type in {"SCORES", "PREDICTIONS"}:
        yield _missing(f"{place}.input.type", f"{entry.strategy.type} on {given.type}", _INPUTS)
    if isinstance(given, Embeddings):
        if given.task is not None:
            yield _missing(
                f"{place}.input.task", "embedding the objects of a task", "whole samples, without task"
            )
        for name in ("dataset_id", "tag_name"):
            if getattr(given, name) is not None:
                yield f"{place}.input.{name}: there are no LightlyOne datasets and tags here; use input.query"


def _in_keys(selection: Selection, measures: Collection[str]) -> Iterator[str]:
    """Numbers are measures and groups of the pattern; categories are what names give. Which groups are numbers, the names say."""
    pattern = selection.lightly_path_regex
    words, groups = category_keys(pattern), group_names(pattern) if pattern else ()
    numbers = sorted([*measures, *groups])
    for row, entry in enumerate(selection.strategies):
        if isinstance(entry.input, Metadata):
            known = words if isinstance(entry.strategy, Balance) else numbers
            what = f"{entry.strategy.type} needs {'a category' if known is words else 'numbers'}"
            place = f"selection.strategies.{row}.input.key"
            yield from _in_key(place, entry.input.key, known, what=what, exists={*words, *measures})
    if selection.groups is not None:
        key = selection.groups.key
        yield from _in_key(
            "selection.groups.key", key, words, what="a group needs a category", exists=measures
        )
    if selection.groups is not None and selection.groups.time_key is not None:
        key = selection.groups.time_key
        yield from _in_key(
            "selection.groups.time_key", key, numbers, what="a time needs numbers", exists=words
        )
    for row, quota in enumerate(selection.quotas):
        place = f"selection.quotas.{row}.key"
        yield from _in_key(place, quota.key, words, what="a quota needs a category", exists=measures)


def _in_key(
    place: str, key: str, known: Collection[str], *, what: str, exists: Collection[str]
) -> Iterator[str]:
    if key in known:
        return
    choices = f"choose from {', '.join(sorted(known))}"
    if key in exists:
        yield f"{place}: {what}, which {key!r} is not; {choices}"
    elif key.startswith("lightly."):
        yield f"{place}: no metadata {key!r}; {choices}{did_you_mean(key, known)}"
    else:
        yield (
            f"{place}: no metadata {key!r}; {choices}{did_you_mean(key, known)}; lightly_path_regex makes metadata of"
            f" names, and reading metadata of your own is not available in framesift {VERSION}"
        )
