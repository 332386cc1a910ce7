"""The optional blocks of a selection job, beside the selection itself."""

import json
from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from jobs.contract import Contract, Flag, Number, Whole, refusal
from jobs.datasource import Location
from jobs.names import JobName


class EmbedderSpec(Contract):
    """An embedding model by name, with its own parameters beside `type`; the worker knows which there are."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,63}$", description="the model's name, for example efficientnet_lite0"
    )

    @model_validator(mode="after")
    def _bounded(self) -> "EmbedderSpec":
        written = json.dumps(self.model_extra, ensure_ascii=False, allow_nan=False).encode()
        if len(written) > 4096:
            raise refusal(f"the parameters take {len(written)} bytes as JSON; at most 4096 are allowed")
        return self


class Embedding(Contract):
    """How samples become vectors."""

    model: EmbedderSpec = Field(
        default=EmbedderSpec(type="efficientnet_lite0"), description="the embedding model"
    )
    dimension: Whole | None = Field(
        default=32,
        ge=1,
        le=4096,
        description="reduce to this many dimensions by PCA; null: keep the model's own",
    )
    normalize: Flag = Field(
        default=True, description="scale each embedding to length 1, so distances are 0 to 2"
    )


class Sampling(Contract):
    """Which frames of a video are samples: exactly one of its keys is given."""

    every_s: Number | None = Field(
        default=None, gt=0, le=86_400, description="one frame each so many seconds"
    )
    every_frames: Whole | None = Field(
        default=None, ge=1, le=1_000_000, description="each so manieth frame; 1: all"
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> "Sampling":
        if (self.every_s is None) == (self.every_frames is None):
            raise refusal("give exactly one of every_s, every_frames")
        return self


class Video(Contract):
    """What to do with videos."""

    sampling: Sampling = Field(description="which frames are samples")


class Datapool(Contract):
    """What earlier jobs have kept counts as already selected."""

    name: JobName = Field(description="the datapool's name; it is made when it does not exist")
    update: Flag = Field(default=True, description="add what this job selects")


class Predictions(Contract):
    """Predictions to read, in LightlyOne's layout."""

    location: Location | None = Field(
        default=None, description="folder with tasks.json; null: .lightly/predictions/ of the input"
    )


class CustomMetadata(Contract):
    """Your own metadata to read, in LightlyOne's layout."""

    location: Location | None = Field(
        default=None, description="folder with schema.json; null: .lightly/metadata/ of the input"
    )


class JobLimits(Contract):
    """Bounds for this job. They may only lower those of the machine."""

    max_object_bytes: Whole | None = Field(
        default=None, ge=1, le=2**63 - 1, description="largest object that is downloaded"
    )
    max_pixels: Whole | None = Field(
        default=None, ge=1, le=2**63 - 1, description="largest width x height that is decoded"
    )
    decode_timeout_s: Number | None = Field(
        default=None, gt=0, le=86_400, description="seconds until a decode is killed"
    )
    max_failed_chunks: Whole = Field(
        default=0, ge=0, le=1_000_000, description="chunks that may fail before the job does"
    )


class Report(Contract):
    """What the report shows."""

    images: Literal["none", "blur", "thumb"] = Field(
        default="thumb", description="pictures in the report: none, blurred beyond recognition, or thumbnails"
    )
    radius_steps: Whole = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="steps of a search that narrows the interval of the best possible covering radius; 0: no search,"
        " 2000: seconds to minutes",
    )
