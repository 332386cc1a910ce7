"""When vectors may be compared with one another: what an embedding facet's `about` says, compared and in words."""

import json
from collections.abc import Mapping
from typing import Any

from jobs.ids import digest

DECIDES = ("identity", "precision", "decoder_version")
"""Of all that an embedding facet's `about` says, what decides its vectors; limits only decide which sources have one."""


def space_of(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of an embedding facet's `about` that decides its vectors, as JSON values."""
    found: dict[str, Any] = json.loads(json.dumps({name: about.get(name) for name in DECIDES}))
    return found


def same_space(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether distances between the vectors of two facets mean anything."""
    return space_of(one) == space_of(other)


def space_digest(about: Mapping[str, Any]) -> str:
    """Return 32 hex digits that are equal for equal spaces."""
    return digest(json.dumps(space_of(about), sort_keys=True))


def described(about: Mapping[str, Any]) -> str:
    """Return the model in words: its name, and what sets it apart from others of that name."""
    identity = about["identity"]
    details = [
        f"weights {identity['weights_sha256'][:12]}",
        f"{identity['dimension']} dimensions",
        str(about["precision"]),
        *(f"{name} {value}" for name, value in sorted(identity["details"].items())),
    ]
    return f"{identity['name']} ({', '.join(details)})"
