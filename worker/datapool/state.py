"""The state of a datapool at one version: the fold of its increments, read a few at a time."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.ahead import ahead
from worker.datapool.increments import (
    Identity,
    Member,
    Members,
    members_from_bytes,
    members_to_bytes,
    removal_from_bytes,
)
from worker.datapool.version import PROJECTION, Increment, Version
from worker.errors import JobFailed, ObjectMissing
from worker.projection import Projection
from worker.space import space_digest
from worker.storage.store import ObjectStore

READ_AHEAD = 4

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Kept:
    """The p samples of a datapool as one job sees them.

    `embedding` is (p, k), reduced as the job's own samples are; `measures` are (p,) by name, NaN where a sample has
    none. `projection` is the stored one, None where no job has made the datapool yet.
    """

    members: tuple[Member, ...]
    embedding: Vectors
    measures: Mapping[str, NDArray[np.float64]]
    projection: Projection | None

    def __len__(self) -> int:
        return len(self.members)

    @classmethod
    def nothing(cls) -> "Kept":
        """Return what a job without a datapool, or the first one with it, has before it."""
        return cls((), np.empty((0, 0), np.float32), {}, None)

    @property
    def names(self) -> list[str]:
        """The names of the samples in the inputs that they came from."""
        return [one.identity.sample for one in self.members]

    @property
    def addresses(self) -> list[str]:
        """The names of the samples together with the inputs that they came from."""
        return [one.identity.address for one in self.members]

    @property
    def contents(self) -> dict[str, str]:
        """The addresses by the digest of the bytes; of equal ones the first."""
        found: dict[str, str] = {}
        for one in self.members:
            found.setdefault(one.identity.content, one.identity.address)
        return found


def read_kept(
    store: ObjectStore, version: Version, *, reduced: Callable[[Projection, Vectors], Vectors]
) -> Kept:
    """Return the samples of a datapool at a version; `reduced` maps full embeddings into the space of the job.

    Memory: about 1 KB and the reduced embedding a sample, and the full embeddings of READ_AHEAD increments.

    Raises:
        JobFailed: a file is damaged, of a newer format, or gone: the datapool was re-embedded meanwhile.
    """
    projection = read_projection(store, version)
    members: list[Member] = []
    blocks: list[Vectors] = [np.empty((0, projection.dimension), np.float32)]
    measures: list[Mapping[str, NDArray[np.float64]]] = []
    for added in living(store, version):
        members.extend(added.members)
        blocks.append(reduced(projection, added.embeddings))
        measures.append(added.measures)
    return Kept(
        tuple(members),
        np.concatenate(blocks),
        _joined(measures, [len(block) for block in blocks[1:]]),
        projection,
    )


def living(store: ObjectStore, version: Version) -> Iterator[Members]:
    """Yield the samples of each increment, in order, that no later one removes and no earlier one has.

    Reads the increments once; removals, which are small, are read first.
    """
    space = space_digest(version.about)
    removals = [one for one in version.increments if one.removes]
    removed_by: dict[Identity, int] = {}
    for place, gone in zip(
        _places(version, removals),
        ahead(lambda one: _removed(store, version, one), removals, threads=READ_AHEAD, depth=READ_AHEAD),
        strict=True,
    ):
        removed_by.update(dict.fromkeys(gone, place))
    seen: set[Identity] = set()
    additions = [one for one in version.increments if not one.removes]
    read = ahead(
        lambda one: members_from_bytes(
            _get(store, version, one.name), space=space, place=store.url + version.key(one.name)
        ),
        additions,
        threads=READ_AHEAD,
        depth=READ_AHEAD,
    )
    for place, added in zip(_places(version, additions), read, strict=True):
        rows = []
        for row, member in enumerate(added.members):
            identity = member.identity
            if removed_by.get(identity, -1) < place and identity not in seen:
                seen.add(identity)
                rows.append(row)
        yield added.take(np.array(rows, np.int64))


def read_projection(store: ObjectStore, version: Version) -> Projection:
    """Return the stored projection of a datapool.

    Raises:
        JobFailed: it is gone or damaged.
    """
    try:
        return Projection.from_bytes(_get(store, version, PROJECTION))
    except ValueError as error:
        raise JobFailed(f"{store.url}{version.key(PROJECTION)}: {error}") from error


def increment_bytes(version: Version, added: Members) -> bytes:
    """Return samples as an increment of this datapool."""
    return members_to_bytes(added, space=space_digest(version.about))


def _places(version: Version, increments: Iterable[Increment]) -> list[int]:
    at = {one: place for place, one in enumerate(version.increments)}
    return [at[one] for one in increments]


def _removed(store: ObjectStore, version: Version, one: Increment) -> tuple[Identity, ...]:
    return removal_from_bytes(_get(store, version, one.name), place=store.url + version.key(one.name))


def _get(store: ObjectStore, version: Version, file: str) -> bytes:
    try:
        return store.get(version.key(file))
    except ObjectMissing as error:
        raise JobFailed(
            f"the datapool {version.name!r} was re-embedded or deleted since this job began: run it again with --fresh"
        ) from error


def _joined(
    blocks: list[Mapping[str, NDArray[np.float64]]], sizes: list[int]
) -> dict[str, NDArray[np.float64]]:
    """Join the measures of increments; a measure that one of them lacks is NaN there."""
    names = sorted({name for block in blocks for name in block})
    return {
        name: np.concatenate(
            [block.get(name, np.full(size, np.nan)) for block, size in zip(blocks, sizes, strict=True)]
        )
        for name in names
    }
