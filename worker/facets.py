"""What a job needs to know of each sample, as facets: groups of columns that are computed and kept on their own."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from jobs.ids import digest
from worker.device import Precision
from worker.embedder import Identity
from worker.layout import facet_key
from worker.measure import Measure
from worker.media.images import DECODER_VERSION
from worker.media.limits import Limits

FORMAT_VERSION = 1

FacetKind = Literal["samples", "measure", "embedding"]


@dataclass(frozen=True, slots=True)
class Facet:
    """One group of columns of a chunk. `about` is all that decides its values; `digest` addresses it.

    samples: what a sample is, with every measure at the size that a reduced decode gives;
    measure: one measure from the full-size pixels; embedding: the full output of one embedder, float32.
    """

    kind: FacetKind
    name: str
    about: Mapping[str, Any]
    measures: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """32 hex digits."""
        return digest(json.dumps(self.about, sort_keys=True))


def facets_for(
    *,
    measures: Mapping[str, type[Measure]],
    full_size: Collection[str],
    identity: Identity,
    precision: Precision,
    limits: Limits,
) -> tuple[Facet, ...]:
    """Return the facets of a job: every measure, those in `full_size` from full-size pixels, and the embedding.

    What was decoded within other limits on bytes and pixels is another facet, since other samples would be skipped;
    so is what a model computed in another precision.
    """
    common = {
        "format_version": FORMAT_VERSION,
        "decoder_version": DECODER_VERSION,
        "max_object_bytes": limits.max_object_bytes,
        "max_pixels": limits.max_pixels,
    }
    versions = {name: measure.version for name, measure in sorted(measures.items())}
    facets = [
        Facet("samples", "samples", {**common, "kind": "samples", "measures": versions}, tuple(versions))
    ]
    for name in sorted(full_size):
        about = {**common, "kind": "measure", "measure": name, "version": versions[name], "size": "full"}
        facets.append(Facet("measure", name, about, (name,)))
    about = {**common, "kind": "embedding", "identity": identity_json(identity), "precision": precision}
    facets.append(Facet("embedding", identity.name, about))
    return tuple(facets)


def identity_json(identity: Identity) -> dict[str, Any]:
    """Return an embedder's identity as JSON values."""
    return {**asdict(identity), "preprocessing": identity.preprocessing.model_dump(mode="json")}


def stored_key(chunk: str, facet: Facet, *, existing: Collection[str], job_id: str) -> str | None:
    """Return the key under which a job finds a facet of a chunk among the existing keys, or None."""
    keys = (facet_key(chunk, facet.digest), facet_key(chunk, facet.digest, job_id))
    return next((key for key in keys if key in existing), None)


def missing_facets(
    chunk: str, facets: Sequence[Facet], *, existing: Collection[str], job_id: str
) -> tuple[Facet, ...]:
    """Return the facets of a chunk that have yet to be computed."""
    return tuple(f for f in facets if stored_key(chunk, f, existing=existing, job_id=job_id) is None)
