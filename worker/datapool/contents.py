"""What a datapool holds, for people: its versions and samples, and samples by the names that people know."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobs.contract import did_you_mean
from jobs.errors import JobRejected
from worker.datapool.increments import Identity
from worker.datapool.state import living
from worker.datapool.version import Version
from worker.space import described
from worker.storage.store import ObjectStore

SHOWN = 3


@dataclass(frozen=True, slots=True)
class Contents:
    """A datapool with its samples: `by_input` counts them, `versions` says what each increment did."""

    name: str
    model: str
    dimension: int | None
    normalize: bool
    generation: int
    samples: int
    by_input: dict[str, int]
    versions: tuple[dict[str, Any], ...]


def contents(store: ObjectStore, version: Version) -> Contents:
    """Read a datapool and count what it holds.

    Raises:
        JobFailed: it is damaged, or of a newer format.
    """
    by_input: Counter[str] = Counter()
    for added in living(store, version):
        by_input.update(member.identity.input for member in added.members)
    return Contents(
        name=version.name,
        model=described(version.about),
        dimension=version.dimension,
        normalize=version.normalize,
        generation=version.generation,
        samples=by_input.total(),
        by_input=dict(sorted(by_input.items())),
        versions=tuple(
            {"version": one.number, "by": one.origin, "removed" if one.removes else "added": one.count}
            for one in version.increments
        ),
    )


def named(store: ObjectStore, version: Version, keys: Sequence[str]) -> tuple[Identity, ...]:
    """Return the samples that people mean by `keys`: names as in selected.txt, or whole addresses, input and name.

    All versions of an object that was overwritten go together.

    Raises:
        JobRejected: a name that the datapool does not have, or that samples of several inputs have.
    """
    by_key: dict[str, list[Identity]] = {}
    for added in living(store, version):
        for member in added.members:
            by_key.setdefault(member.identity.address, []).append(member.identity)
            by_key.setdefault(member.identity.sample, []).append(member.identity)
    found: dict[Identity, None] = {}
    for key in keys:
        identities = by_key.get(key, [])
        addresses = sorted({one.address for one in identities})
        if not identities:
            raise JobRejected(
                f"KEYS: {key!r} is not in the datapool {version.name!r}{did_you_mean(key, list(by_key))}"
            )
        if len(addresses) > 1:
            more = f" and {len(addresses) - SHOWN} more" if len(addresses) > SHOWN else ""
            raise JobRejected(
                f"KEYS: {key!r} came from several inputs; say which: {', '.join(addresses[:SHOWN])}{more}"
            )
        found.update(dict.fromkeys(identities))
    return tuple(found)
