"""One version of a datapool: which model it is of, and the increments that make up its state."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.blocks import Embedding
from jobs.contract import did_you_mean
from jobs.errors import JobRejected
from worker.errors import JobFailed
from worker.layout import DATAPOOLS, datapool_key
from worker.space import described, same_space, space_of
from worker.storage.store import ObjectStore

FORMAT_VERSION = 1
POOL = "pool.json"
PROJECTION = "projection.npz"

_INCREMENT = re.compile(
    r"v(?P<number>\d{6,})-(?P<origin>[0-9A-Za-z-]+?)-(?P<count>\d+)(?P<removes>\.removed\.json|\.parquet)"
)


@dataclass(frozen=True, slots=True)
class Increment:
    """One file of a datapool: what the job or removal `origin` added or removed; `count` samples of it."""

    name: str
    number: int
    origin: str
    count: int
    removes: bool

    @classmethod
    def of(cls, name: str) -> "Increment | None":
        """Return what a file's name says, or None where it is not that of an increment."""
        found = _INCREMENT.fullmatch(name)
        if found is None:
            return None
        removes = found["removes"] != ".parquet"
        return cls(name, int(found["number"]), found["origin"], int(found["count"]), removes)


@dataclass(frozen=True, slots=True)
class Version:
    """A datapool as it is at one moment. The state is the fold of `increments`, in their order.

    `about` is what decides the vectors (see `space.py`); `dimension` and `normalize` are those that its jobs ask for.
    A generation is a folder of increments of one model: re-embedding makes the next one.
    """

    name: str
    generation: int
    about: Mapping[str, Any]
    dimension: int | None
    normalize: bool
    increments: tuple[Increment, ...] = ()

    @property
    def at_most(self) -> int:
        """How many samples it holds, by the names of its files: no more than were added."""
        return sum(one.count for one in self.increments if not one.removes)

    @property
    def reckoned(self) -> int:
        """How many samples it holds, by the names of its files: what was added less what was removed."""
        removed = sum(one.count for one in self.increments if one.removes)
        return max(0, self.at_most - removed)

    @property
    def next_number(self) -> int:
        """The number of the next increment; two writers may take the same one, since names differ by their origin."""
        return max((one.number for one in self.increments), default=0) + 1

    @property
    def folder(self) -> str:
        """The key prefix of the generation."""
        return datapool_key(self.name, f"g{self.generation:06}/")

    def key(self, file: str) -> str:
        """Return the key of a file of the generation."""
        return self.folder + file

    def to_bytes(self) -> bytes:
        """Return pool.json, which says everything but the increments."""
        stored = {
            "format_version": FORMAT_VERSION,
            "generation": self.generation,
            "embedding": space_of(self.about),
            "dimension": self.dimension,
            "normalize": self.normalize,
        }
        return json.dumps(stored, indent=1, sort_keys=True).encode() + b"\n"


def read_version(store: ObjectStore, name: str) -> Version | None:
    """Return a datapool as it is now, or None where there is none: one LIST, one GET.

    Raises:
        JobFailed: it is damaged, or of a newer format.
    """
    files = {info.key for info in store.list(datapool_key(name))}
    key = datapool_key(name, POOL)
    if key not in files:
        return None
    found = _parsed(store.get(key), name=name, place=store.url + key)
    return with_increments(
        found, [file.removeprefix(found.folder) for file in files if file.startswith(found.folder)]
    )


def with_increments(version: Version, files: Sequence[str]) -> Version:
    """Return the version that the files of its generation make, in the order of their numbers and names.

    Raises:
        JobFailed: a file that this framesift does not know: a newer one wrote it.
    """
    increments = []
    for file in files:
        if file == PROJECTION:
            continue
        increment = Increment.of(file)
        if increment is None:
            raise JobFailed(
                f"the datapool {version.name!r} holds {file!r}, which this framesift does not know: update it"
            )
        increments.append(increment)
    ordered = tuple(sorted(increments, key=lambda one: (one.number, one.name)))
    return Version(
        version.name, version.generation, version.about, version.dimension, version.normalize, ordered
    )


def existing_version(store: ObjectStore, name: str, *, at: str) -> Version:
    """Return a datapool as it is now.

    Raises:
        JobRejected: there is none of this name; the text, which starts with `at`, has those that there are.
    """
    found = read_version(store, name)
    if found is not None:
        return found
    names = datapool_names(store)
    there = f"choose from {', '.join(names)}{did_you_mean(name, names)}" if names else "there is none"
    raise JobRejected(f"{at}: no datapool {name!r} under {store.url}; {there}")


def datapool_names(store: ObjectStore) -> list[str]:
    """Return the names of all datapools under an output, in order."""
    keys = (info.key.removeprefix(DATAPOOLS) for info in store.list(DATAPOOLS))
    return sorted({key.removesuffix(f"/{POOL}") for key in keys if key.endswith(f"/{POOL}")})


def refuse_other_space(version: Version, about: Mapping[str, Any], *, at: str) -> None:
    """Do nothing where a job's embedding facet gives vectors that can be compared with the datapool's.

    Raises:
        JobRejected: another model, precision or decoder made them; names both.
    """
    if same_space(version.about, about):
        return
    theirs, ours = described(version.about), described(about)
    if theirs == ours:
        theirs, ours = (f"{theirs}, decoder {one['decoder_version']}" for one in (version.about, about))
    if theirs == ours:
        theirs, ours = f"{theirs} with other preprocessing", f"{ours} as it is now"
    raise JobRejected(
        f"{at}: the datapool {version.name!r} was embedded by {theirs}, this job is by {ours}; distances between them"
        f" mean nothing: name the model of the datapool, or re-embed it (framesift datapool reembed {version.name!r}"
        " --output URL --model '{\"type\": ...}')"
    )


def refuse_other_reduction(version: Version, asked: Embedding, *, at: str) -> None:
    """Do nothing where a job asks for the same reduction as the jobs before it.

    Raises:
        JobRejected: another dimension or normalisation; the datapool's is named.
    """
    for what, theirs, ours in (
        ("dimension", version.dimension, asked.dimension),
        ("normalize", version.normalize, asked.normalize),
    ):
        if theirs != ours:
            raise JobRejected(
                f"{at}: the datapool {version.name!r} was made with embedding.{what} {json.dumps(theirs)}, this job asks for"
                f" {json.dumps(ours)}; distances differ: ask for {json.dumps(theirs)}, or for another datapool"
            )


def _parsed(body: bytes, *, name: str, place: str) -> Version:
    try:
        stored = json.loads(body)
        found, generation = stored["format_version"], stored["generation"]
        if found > FORMAT_VERSION:
            raise JobFailed(
                f"{place}: format {found}; this framesift reads up to {FORMAT_VERSION}: update it"
            )
        return Version(name, generation, stored["embedding"], stored["dimension"], stored["normalize"])
    except (KeyError, TypeError, ValueError) as error:
        raise JobFailed(f"{place}: not the pool.json of a datapool ({error!r})") from error
