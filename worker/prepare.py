"""Turns a job into everything that its steps need, or refuses it; downloads nothing but, once, a model's weights."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from jobs.selection import Metadata, Selection
from jobs.spec import Job, SelectionJob, canonical_json
from worker.device import Device, Precision, precision_of
from worker.embedder import Embedder, Identity
from worker.errors import JobFailed, JobRejected, StoreMissing
from worker.facets import Facet, facets_for
from worker.intake.relevant import Relevant, parse_relevant
from worker.manifest import Terms
from worker.media.limits import Limits
from worker.models.weights import LocalWeightFiles
from worker.settings import Settings
from worker.storage.connect import connect
from worker.storage.store import ObjectStore
from worker.supported import refuse_unsupported
from worker.variants import EMBEDDERS, MEASURES, measure_keys
from worker.video.sampling import VIDEO_VERSION


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job that this machine can run: its stores, its limits, its model and what it needs to know of each sample."""

    job: SelectionJob
    job_json: str
    source: ObjectStore
    output: ObjectStore
    limits: Limits
    embedder: Embedder
    identity: Identity
    facets: tuple[Facet, ...]
    weights: LocalWeightFiles
    settings: Settings
    terms: Terms

    @property
    def embedding_facet(self) -> Facet:
        """The facet that holds the vectors."""
        return next(facet for facet in self.facets if facet.kind == "embedding")

    @property
    def video_text(self) -> str:
        """All that decides which frames of a video are samples, as one text."""
        asked = self.job.video.model_dump(mode="json", exclude={"output_image_format"})
        return json.dumps(
            {**asked, "max_video_bytes": self.terms.max_video_bytes, "version": VIDEO_VERSION}, sort_keys=True
        )

    def under(self, terms: Terms) -> "Prepared":
        """Return the same job as a plan froze it, which may have been made on another machine."""
        return self if terms == self.terms else prepare(self.job, self.settings, terms=terms)

    def on(self, device: Device) -> Device:
        """Return the device as this job computes on it.

        Raises:
            JobFailed: the job needs a GPU, or a precision that this one does not have.
        """
        if self.job.device == "cuda" and not device.is_cuda:
            raise JobFailed(f"device: the job needs 'cuda', and this machine has {device.label} only")
        if self.terms.precision == "bfloat16" and device.precision != "bfloat16":
            raise JobFailed(f"precision: the job computes in bfloat16, which {device.label} cannot")
        return replace(device, precision=self.terms.precision)


def prepare(job: Job, settings: Settings, *, terms: Terms | None = None) -> Prepared:
    """Resolve every name in a job. Weights that the job names and this machine lacks are fetched, to digest them.

    `terms` are those of a plan that exists; without them, this machine's settings and the job's limits make them.

    Raises:
        JobRejected: the job asks for something that does not exist or that this version does not do.
    """
    refuse_unsupported(job, [measure.key for measure in MEASURES.by_name.values() if measure.numeric])
    if not isinstance(job, SelectionJob):
        raise JobRejected(f"kind: {job.kind!r} cannot be run here; choose selection")
    limits = _lowered(settings.limits, job)
    if terms is None:
        terms = Terms(
            _precision(settings), limits.max_object_bytes, limits.max_pixels, limits.max_video_bytes
        )
    limits = limits.model_copy(
        update={name: getattr(terms, name) for name in ("max_object_bytes", "max_pixels", "max_video_bytes")}
    )
    embedder = EMBEDDERS.parse(job.embedding.model.model_dump(), at="embedding.model")
    weights = LocalWeightFiles(settings)
    identity = embedder.identity(weights)
    facets = facets_for(
        measures=MEASURES.by_name,
        full_size=_full_size(job.selection),
        identity=identity,
        precision=terms.precision,
        limits=limits,
    )
    source = connect(job.datasource.input, settings)
    output = connect(job.datasource.output, settings, may_be_absent=True)
    if (output.place + job.name + "/").startswith(source.place):
        raise JobRejected(
            f"datasource.output: {output.url} is {output.place}, whose results would lie inside the input {source.place}"
        )
    return Prepared(
        job=job,
        job_json=canonical_json(job),
        source=source,
        output=output,
        limits=limits,
        embedder=embedder,
        identity=identity,
        facets=facets,
        weights=weights,
        settings=settings,
        terms=terms,
    )


@contextmanager
def refused_where_missing(at: str) -> Iterator[None]:
    """Refuse the job where the bucket or folder that it names does not exist."""
    try:
        yield
    except StoreMissing as error:
        raise JobRejected(f"{at}: {error}") from error


def relevant_rules(prepared: Prepared) -> Relevant | None:
    """Read the file of relevant names, from the output as LightlyOne has it, else from the input.

    Raises:
        JobRejected: the job names a file that lies in neither, or whose rules are wrong.
    """
    key = prepared.job.datasource.relevant_filenames
    if key is None:
        return None
    for store in (prepared.output, prepared.source):
        if store.head(key) is not None:
            try:
                return parse_relevant(store.get(key).decode(), at=f"{store.url}{key}")
            except UnicodeDecodeError as error:
                raise JobRejected(f"{store.url}{key}: not UTF-8 text ({error})") from error
    raise JobRejected(
        f"datasource.relevant_filenames: {key!r} is neither in {prepared.output.url} nor in {prepared.source.url}"
    )


def _precision(settings: Settings) -> Precision:
    return precision_of(settings.device) if settings.precision == "auto" else settings.precision


def _lowered(limits: Limits, job: SelectionJob) -> Limits:
    """Apply the job's limits where they are lower than the machine's."""
    asked = {name: value for name, value in job.limits.model_dump().items() if value is not None}
    lowered = {name: min(value, asked.get(name, value)) for name, value in limits.model_dump().items()}
    return Limits(**lowered)


def _full_size(selection: Selection) -> frozenset[str]:
    """Return the measures whose full-size value the selection uses."""
    keys = measure_keys()
    inputs = (entry.input for entry in selection.strategies)
    used = {keys[given.key] for given in inputs if isinstance(given, Metadata) and given.key in keys}
    return frozenset(name for name in used if MEASURES.by_name[name].full_size)
