"""What travels: the job contract, the queue and its client. Needs neither torch nor numpy, so a backend can import it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.client import Client

__all__ = ["Client"]


def __getattr__(name: str) -> Any:
    """Import the client when it is asked for: who reads a job needs no Celery."""
    if name == "Client":
        from jobs.client import Client  # noqa: PLC0415

        return Client
    raise AttributeError(f"module 'jobs' has no attribute {name!r}")
