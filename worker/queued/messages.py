"""Messages that are none: Celery drops what raises InvalidTaskError, and ends with any other error."""

from collections.abc import Callable
from typing import Any

from celery import bootsteps
from celery.exceptions import InvalidTaskError

_WRONG_FORM = (AttributeError, IndexError, KeyError, TypeError, ValueError)


class CheckedMessages(bootsteps.StartStopStep):  # type: ignore[misc]  # untyped
    """The part of a worker that lets it outlive messages of a wrong form: whoever can write to Redis can send them.

    Without it, one of them ends every worker, one after another, as each puts it back.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, parent: Any) -> None:
        """Check what each task is given; called again after each loss of the connection."""
        for name, strategy in parent.strategies.items():
            parent.strategies[name] = _checked(strategy)

    def stop(self, parent: Any) -> None:
        """Leave all as it is: the next start makes the strategies anew."""


def _checked(strategy: Callable[..., Any]) -> Callable[..., Any]:
    def take(*args: Any, **options: Any) -> Any:
        try:
            return strategy(*args, **options)
        except _WRONG_FORM as error:
            raise InvalidTaskError(f"not a message of a step: {type(error).__name__}") from None

    return take
