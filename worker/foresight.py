"""What can be said of a job's strategies and rules from the names in the listing alone, before any image is read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jobs.errors import JobRejected
from jobs.inputs import Metadata
from jobs.selection import Balance, Diversity, Entry, Selection, Threshold, Weights
from jobs.strategies import TargetRange
from worker.analysis.balance import outlook
from worker.categories import Category, categories_of
from worker.datapool.frozen import current_versions, own_size
from worker.device import Device, choose_device, memory_bytes
from worker.effects import described, effects_of, kept
from worker.errors import JobFailed
from worker.media.extensions import kind_of
from worker.prepare import Prepared, refused_where_missing
from worker.queries import find_queries
from worker.rules import JobRules, rules_of, word_keys
from worker.selection import terms
from worker.selection.gates.gate import Gate
from worker.selection.gates.quotas import QuotaConflict
from worker.selection.memory import refuse_if_too_large, required_bytes, way_of
from worker.selection.pool import Pool
from worker.selection.terms import Term
from worker.selection.units import units
from worker.strategy import Effect, Samples

MAX_VALUES = 50
MAX_UNMET = 10


@dataclass(frozen=True, slots=True)
class Foresight:
    """How many sources have each value of a key that the job uses, and its strategies in words."""

    classes: dict[str, dict[str, int]]
    """The most frequent values of each key with their counts, most frequent first."""
    without_value: dict[str, int]
    more_values: dict[str, int]
    """Values of each key that `classes` leaves out."""
    strategies: dict[str, str]
    """By the place of the entry in the job; only those on metadata from names."""
    datapool: int | None = None
    """Samples that the datapool holds at most; None where there is none yet."""


def foresee(prepared: Prepared, names: Sequence[str]) -> Foresight:
    """Refuse now what would be refused after all images are read.

    `names` are those of the sources in key order. Counts are of what is listed; what cannot be read, duplicates and thresholds on measures may lower them later.
    How many samples a video gives is not known: where there are videos, values are checked, and numbers are not.

    Raises:
        JobRejected: a value, class or sample that the input does not have, quotas that cannot be met, or an earlier job or
            a datapool that cannot be compared with.
        JobFailed: the selection needs more memory than there is; the text has the formula.
    """
    selection = prepared.job.selection
    with refused_where_missing("datasource.output"):
        datapools = current_versions(prepared.output, prepared.job, embedding=prepared.embedding_facet)
    find_queries(
        selection, names, output=prepared.output, embedding=prepared.embedding_facet, datapools=datapools
    )
    has_videos = any(kind_of(name) == "video" for name in names)
    if not has_videos:
        _refuse_what_takes_videos(selection)
    categories = categories_of(names, selection.lightly_path_regex, keys=word_keys(selection))
    samples = _names_only(names, categories, seed=prepared.job.seed)
    entries = {
        f"selection.strategies.{place}": entry
        for place, entry in enumerate(selection.strategies)
        if isinstance(entry.input, Metadata) and entry.input.key in categories
    }
    effects, passed = effects_of(entries, samples)
    thresholds = {
        f"selection.strategies.{place}"
        for place, entry in enumerate(selection.strategies)
        if isinstance(entry.strategy, Threshold)
    }
    open_, asked = kept(effects.values(), passed), selection.asked_of(len(names))
    job_rules = rules_of(selection, replace(samples, passed=open_))
    if not has_videos:
        final = thresholds <= entries.keys()
        _check_numbers(job_rules, open_, asked, final=final)
    _check_memory(prepared, len(names), own_size(prepared.job, datapools) or 0, effects.values())
    return Foresight(
        classes={key: _most_frequent(category) for key, category in categories.items()},
        without_value={key: int(category.missing.sum()) for key, category in categories.items()},
        more_values={key: max(0, len(one.values) - MAX_VALUES) for key, one in categories.items()},
        strategies={
            at: _in_words(entries[at], effect, samples)
            + ("" if has_videos else _out_of_reach(effect, open_, asked))
            for at, effect in effects.items()
        },
        datapool=own_size(prepared.job, datapools),
    )


def _refuse_what_takes_videos(selection: Selection) -> None:
    length, groups = selection.selected_sequence_length, selection.groups
    if length > 1:
        raise JobRejected(
            f"selection.selected_sequence_length: sequences of {length:,} are made of the frames of videos, and the"
            " input has none; choose 1"
        )
    if groups is not None and groups.tolerance_s is not None and groups.time_key is None:
        raise JobRejected(
            "selection.groups.time_key: required, since images have no time of their own and the input has no videos"
        )


def _names_only(names: Sequence[str], categories: dict[str, Category], *, seed: int) -> Samples:
    return Samples(
        names=names,
        embeddings=np.empty((len(names), 0), np.float32),
        numbers={},
        categories=categories,
        queries={},
        passed=np.ones(len(names), np.bool_),
        seed=seed,
        device=Device("cpu", "CPU", 1),
    )


def _most_frequent(category: Category) -> dict[str, int]:
    counts = category.counts()
    order = np.argsort(-counts, kind="stable")[:MAX_VALUES]
    return {category.values[label]: int(counts[label]) for label in order}


def _check_numbers(job_rules: JobRules, open_: NDArray[np.bool_], asked: int, *, final: bool) -> None:
    """Refuse quotas that cannot be met; if `final`, as no threshold is still to come, also rules that let nothing through."""
    rules, rows = job_rules.rules, len(open_)
    try:
        if rules.groups is None:
            candidates, sizes = np.flatnonzero(open_), None
            gate = Gate(candidates, asked, quotas=rules.quotas, rows=rows)
        else:
            joined = units(Pool(np.zeros((rows, 1), np.float32), open_), (), rules, np.empty(0, np.int64))
            candidates, sizes = np.arange(len(joined.sizes)), joined.sizes
            gate = Gate(candidates, asked, sizes=sizes, quotas=joined.quotas, rows=len(candidates))
    except QuotaConflict as conflict:
        raise job_rules.refused(conflict) from conflict
    if len(candidates) and final and len(gate.start()) == len(candidates):
        smallest = f"; the smallest group has {int(sizes.min()):,} samples" if sizes is not None else ""
        raise JobRejected(
            f"selection: nothing can be picked within groups and quotas, with {asked:,} to select{smallest}"
        )


def _check_memory(prepared: Prepared, candidates: int, kept: int, known: Iterable[Effect]) -> None:
    """Count every listed source as a candidate, since all of them may be, and all samples of the datapool as rows.

    A video may give more than the one sample that it is counted for here, so with videos this is what is needed at least.
    """
    selection, dimension = prepared.job.selection, prepared.identity.dimension
    parts = required_bytes(
        candidates + kept,
        min(dimension, prepared.job.embedding.dimension or dimension),
        selection.asked_of(candidates) + kept,
        way=way_of(
            [_of_its_kind(one) for one in selection.strategies if not isinstance(one.strategy, Threshold)],
            selection.mode,
        ),
        device=choose_device(prepared.settings.device),
        candidates=candidates,
        quotas=len({quota.key for quota in selection.quotas}),
        classes=sum(len(effect.classes) for effect in known),
        is_grouped=selection.groups is not None or selection.selected_sequence_length > 1,
        gaps=(selection.min_gap_s is not None) + (selection.sequence_overlap > 0),
    )
    try:
        refuse_if_too_large(parts, prepared.settings.memory_bytes or memory_bytes())
    except ValueError as error:
        raise JobFailed(str(error)) from error


def _of_its_kind(entry: Entry) -> Term:
    """Return a term without values: its kind and strength decide which way a selection takes."""
    nothing, strength = np.empty(0), entry.strategy.strength
    match entry.strategy:
        case Diversity():
            return terms.Diversity(strength)
        case Balance():
            return terms.Balance(nothing, nothing, strength)
        case Weights(target_range=TargetRange()):
            return terms.Weights(nothing, strength, target=(0.0, 0.0))
        case _:
            return terms.Weights(nothing, strength)


def _in_words(entry: Entry, effect: Effect, samples: Samples) -> str:
    facts = described(entry, effect, samples)
    return f"{facts.type} {facts.detail}, strength {facts.strength:g}"


def _out_of_reach(effect: Effect, open_: NDArray[np.bool_], asked: int) -> str:
    """Say which shares of a balance cannot be met by so many picks, and what can be."""
    if not isinstance(effect.term, terms.Balance) or not open_.any():
        return ""
    counts = effect.term.shares[open_].sum(axis=0).astype(np.int64)
    found = outlook(effect.classes, counts, effect.term.target, asked)
    missed = [
        f"{one.name!r} {one.achievable:.1%} instead of {one.requested:.1%} (there are {int(one.candidates):,})"
        for one in found
        if one.reasons
    ]
    more = f" and {len(missed) - MAX_UNMET} more" if len(missed) > MAX_UNMET else ""
    return f"; at best {', '.join(missed[:MAX_UNMET])}{more}" if missed else ""
