"""The optional blocks of a selection job, beside the selection itself."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from jobs.contract import Contract, Flag, Number, Whole, refusal, shown
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
    """Which frames of a video are samples: exactly one of its keys. The word `all` or `keyframes` alone means frames."""

    frames: Literal["all", "keyframes"] | None = Field(
        default=None, description="all frames, or those that decode without any other"
    )
    fps: Number | None = Field(
        default=None,
        ge=1e-5,
        le=1000,
        description="so many a second: the frame that is displayed at each moment",
    )
    every: Whole | None = Field(
        default=None, ge=1, le=10_000_000, description="the first displayed frame, then each so manieth"
    )

    @model_validator(mode="before")
    @classmethod
    def _word_alone(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"frames": given}
        if not isinstance(given, Mapping | cls):
            raise refusal(f"should be all, keyframes, {{fps}} or {{every}} (got {shown(given)})")
        return given

    @model_validator(mode="after")
    def _exactly_one(self) -> "Sampling":
        given = [name for name in ("frames", "fps", "every") if getattr(self, name) is not None]
        if len(given) != 1:
            raise refusal("give all, keyframes, or exactly one of fps, every")
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Allow the word alone."""
        whole = handler.resolve_ref_schema(handler(core_schema))
        return {
            "title": whole["title"],
            "description": whole["description"],
            "anyOf": [{"enum": ["all", "keyframes"]}, dict(whole)],
        }


class NearIdentical(Contract):
    """Which frames are so much like the last one that was kept that they are not worth embedding."""

    max_difference: Number = Field(
        default=2.0,
        ge=0,
        le=255,
        description="mean difference of grey values (0 to 255) in 32 x 32 fields, up to which a frame is left out",
    )


class Video(Contract):
    """What to do with videos."""

    sampling: Sampling = Field(default=Sampling(frames="all"), description="which frames are samples")
    exact_index: Flag = Field(
        default=True,
        description="number the frames of every video exactly: one without an index is read once more for it; false:"
        " frames of such a video are named by their timestamp where that saves reading it",
    )
    drop_near_identical: NearIdentical | None = Field(
        default=None,
        description="leave out frames that look like the last one kept, before they are embedded; null: keep all",
    )
    output_image_format: Literal["png", "jpg", "webp"] | None = Field(
        default=None, description="write the selected frames as images of this format; null: write none"
    )


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
        default=None, ge=1, le=2**63 - 1, description="largest image that is downloaded"
    )
    max_video_bytes: Whole | None = Field(
        default=None, ge=1, le=2**63 - 1, description="largest video that is looked at"
    )
    max_pixels: Whole | None = Field(
        default=None, ge=1, le=2**63 - 1, description="largest width x height that is decoded"
    )
    decode_timeout_s: Number | None = Field(
        default=None,
        gt=0,
        le=86_400,
        description="seconds without an image, or without a frame, until a decode is killed",
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
