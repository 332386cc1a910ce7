"""Messages that are none: Celery drops what raises InvalidTaskError, and ends with anything else."""

from typing import Any

from celery.exceptions import InvalidTaskError
from celery.worker.request import Request


class CheckedRequest(Request):  # type: ignore[misc]  # untyped
    """A request whose message may hold anything: whoever can write to Redis can send it.

    Without it, one message with a body of the wrong form ends every worker, one after another: each puts it back.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        try:
            super().__init__(*args, **options)
        except Exception as error:
            raise InvalidTaskError(f"not a message of a step: {type(error).__name__}") from error
