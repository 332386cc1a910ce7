"""The job kinds, frozen; from text to a job and back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from jobs.blocks import CustomMetadata, Datapool, Embedding, JobLimits, Predictions, Report, Video
from jobs.contract import Contract, Whole, did_you_mean, refusal, rejected, shown
from jobs.datasource import Datasource, OutputOnly, TrainingDatasource, check_apart
from jobs.errors import JobRejected
from jobs.names import JobName
from jobs.selection import Selection
from jobs.text import read_object


class _Job(Contract):
    name: JobName = Field(
        description="results go to a folder of this name: 1 to 100 of A-Z, a-z, 0-9, '_', '-', '.' and space"
    )
    seed: Whole = Field(default=0, ge=0, le=2**63 - 1, description="every random draw comes from this number")


class SelectionJob(_Job):
    """Select the samples worth labelling."""

    kind: Literal["selection"] = Field(description="this kind of job")
    datasource: Datasource = Field(description="where to read and write")
    selection: Selection = Field(
        description="how many samples, and which; LightlyOne's selection_config fits here"
    )
    embedding: Embedding = Field(default=Embedding(), description="how samples become vectors")
    video: Video = Field(default=Video(), description="what to do with videos")
    datapool: Datapool | None = Field(default=None, description="what earlier jobs have kept")
    predictions: Predictions | None = Field(default=None, description="predictions to read")
    metadata: CustomMetadata | None = Field(default=None, description="your own metadata to read")
    device: Literal["any", "cuda"] = Field(
        default="any", description="cuda: wait for a machine with a GPU; any: the first machine that is free"
    )
    limits: JobLimits = Field(default=JobLimits(), description="bounds for this job")
    report: Report = Field(default=Report(), description="what the report shows")

    @model_validator(mode="after")
    def _results_outside_the_input(self) -> "SelectionJob":
        check_apart(self.datasource, name=self.name)
        return self


Space = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class ComparisonJob(_Job):
    """Compare embedding spaces of the same samples."""

    kind: Literal["comparison"] = Field(description="this kind of job")
    datasource: OutputOnly = Field(description="where to write")
    spaces: tuple[Space, ...] = Field(
        min_length=2, max_length=16, description="the embedding spaces to compare, by name"
    )
    k: tuple[Annotated[Whole, Field(ge=1, le=1000)], ...] = Field(
        default=(10,), min_length=1, max_length=16, description="numbers of nearest neighbours to compare"
    )

    @model_validator(mode="after")
    def _each_once(self) -> "ComparisonJob":
        for field, values in (("spaces", self.spaces), ("k", self.k)):
            if len(set(values)) < len(values):
                raise refusal("each should be given once", field)
        return self


class EvaluationJob(_Job):
    """Measure how well an embedding space separates labels."""

    kind: Literal["evaluation"] = Field(description="this kind of job")
    datasource: OutputOnly = Field(description="where to write")
    space: Space = Field(description="the embedding space, by name")
    labels: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        description="the column that holds the labels"
    )


class TrainingJob(_Job):
    """Train an embedding model on images without labels."""

    kind: Literal["training"] = Field(description="this kind of job")
    datasource: TrainingDatasource = Field(description="where to read and write")
    method: Literal["simclr"] = Field(default="simclr", description="how to train")
    epochs: Whole = Field(default=20, ge=1, le=10_000, description="passes over the images")

    @model_validator(mode="after")
    def _results_outside_the_input(self) -> "TrainingJob":
        check_apart(self.datasource, name=self.name)
        return self


Job = SelectionJob | ComparisonJob | EvaluationJob | TrainingJob

_KINDS: dict[str, type[Job]] = {
    "selection": SelectionJob,
    "comparison": ComparisonJob,
    "evaluation": EvaluationJob,
    "training": TrainingJob,
}


@dataclass(frozen=True, slots=True)
class ParsedJob:
    """A job, and one line for each thing in its text that was put right."""

    job: Job
    warnings: tuple[str, ...]


def parse_job(text: str | bytes | Mapping[str, Any]) -> Job:
    """Return the job that a JSON text, or the object it stands for, describes.

    Raises:
        JobRejected: one line that names the place, the value and what is allowed.
    """
    return parse_job_with_warnings(text).job


def parse_job_with_warnings(text: str | bytes | Mapping[str, Any]) -> ParsedJob:
    """Do as `parse_job` does, and say what was put right."""
    given = read_object(text)
    if "kind" not in given:
        raise JobRejected(f"kind: required, but missing; one of {', '.join(_KINDS)}")
    kind = given["kind"]
    if not isinstance(kind, str) or kind not in _KINDS:
        hint = did_you_mean(kind, _KINDS) if isinstance(kind, str) else ""
        raise JobRejected(f"kind: should be one of {', '.join(_KINDS)} (got {shown(kind)}){hint}")
    warnings: list[str] = []
    try:
        job = _KINDS[kind].model_validate(given, context=warnings)
    except ValidationError as error:
        raise rejected(error, given) from error
    return ParsedJob(job=job, warnings=tuple(warnings))


def canonical_json(job: Job) -> str:
    """Return the one JSON text of a job: sorted keys, snake_case, defaults filled in. It parses back to an equal job."""
    return json.dumps(job.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False)


def job_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a job of any kind."""
    adapter: TypeAdapter[Job] = TypeAdapter(Annotated[Job, Field(discriminator="kind")])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A framesift job",
        "description": "Keys of the selection block may also be written in camelCase, as LightlyOne's client sends them.",
        **adapter.json_schema(),
    }
