"""What one object may cost. A job may lower these, never raise them."""

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    """Bounds for one object; beyond them it is skipped with a reason, and the job goes on."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    max_object_bytes: int = Field(default=256 * 2**20, ge=1, description="largest image that is downloaded")
    max_video_bytes: int = Field(default=2**40, ge=1, description="largest video that is looked at")
    max_pixels: int = Field(default=200_000_000, ge=1, description="largest width x height that is decoded")
    decode_timeout_s: float = Field(
        default=20.0,
        gt=0,
        description="seconds without an image, or without a frame, until a decode is killed",
    )
    decode_memory_bytes: int = Field(
        default=4 * 2**30, ge=256 * 2**20, description="address space of one decoding process"
    )
