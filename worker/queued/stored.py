"""What queued jobs keep in the bucket as JSON, checked on the way back: a bucket can hold anything."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from jobs.status import Priority
from worker.errors import JobFailed
from worker.publish import EndState

SUBMISSION_VERSION = 1


class Submission(BaseModel):
    """How a job came into the queue: submission.json."""

    model_config = ConfigDict(frozen=True, strict=True)

    format_version: int = Field(default=SUBMISSION_VERSION, ge=1, le=SUBMISSION_VERSION)
    idempotency_key: str = Field(max_length=200)
    priority: Priority
    schedule: str = Field(max_length=100)
    submitted_at: float = Field(ge=0, lt=1e11, allow_inf_nan=False)


class Ended(BaseModel):
    """What is needed of a done.json."""

    model_config = ConfigDict(frozen=True, strict=True)

    state: EndState
    reason: str | None = None


Index = Annotated[str, Field(pattern=r"^[0-9]{1,10}$")]
_failed = TypeAdapter(dict[Index, str], config=ConfigDict(strict=True))


def submission_from(body: bytes, *, at: str) -> Submission:
    """Read a submission.json; `at` is where it lies.

    Raises:
        JobFailed: it is none, or one of a newer format.
    """
    try:
        return Submission.model_validate_json(body)
    except ValidationError as error:
        raise _unreadable(at, error) from error


def ended_from(body: bytes, *, at: str) -> Ended:
    """Read how a job ended; `at` is where its done.json lies.

    Raises:
        JobFailed: it does not say so.
    """
    try:
        return Ended.model_validate_json(body)
    except ValidationError as error:
        raise _unreadable(at, error) from error


def failed_from(body: bytes, *, at: str) -> dict[int, str]:
    """Read which chunks were given up, and why; `at` is where the failed.json lies.

    Raises:
        JobFailed: it does not say so.
    """
    try:
        return {int(index): why for index, why in _failed.validate_json(body).items()}
    except ValidationError as error:
        raise _unreadable(at, error) from error


def _unreadable(at: str, error: ValidationError) -> JobFailed:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return JobFailed(f"{at} cannot be read by this framesift: {place or 'it'}: {first['msg']}")
