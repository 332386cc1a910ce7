"""From a place that a job names to a store. Endpoints and keys come from the settings, never from the job."""

import os
from difflib import get_close_matches
from threading import Lock
from typing import TYPE_CHECKING

from jobs.datasource import Location
from worker.errors import JobRejected
from worker.settings import Connection, Settings
from worker.storage.local import LocalStore
from worker.storage.s3 import S3Store, make_client
from worker.storage.store import ObjectStore

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_clients: dict[tuple[object, ...], "S3Client"] = {}
_lock = Lock()


def connect(location: Location, settings: Settings, *, may_be_absent: bool = False) -> ObjectStore:
    """Return the store of a location; makes no request. A folder that `may_be_absent` is empty until it is written to.

    Raises:
        JobRejected: the location names a connection that this machine does not have.
        StorageError: the connection's settings cannot be used.
    """
    if not location.is_s3:
        return LocalStore(location.path, may_be_absent=may_be_absent)
    return open_bucket(location.bucket, location.prefix, connection=location.connection, settings=settings)


def open_bucket(bucket: str, prefix: str, *, connection: str | None, settings: Settings) -> S3Store:
    """Return a store of one prefix of a bucket; `connection` None is what the usual AWS variables say."""
    chosen = Connection() if connection is None else _named(connection, settings)
    return S3Store(bucket, prefix, _client(chosen, threads=settings.fetch_threads))


def _named(name: str, settings: Settings) -> Connection:
    if name in settings.connections:
        return settings.connections[name]
    if not settings.connections:
        raise JobRejected(
            f"connection: no connection {name!r}; this machine has none (FRAMESIFT_CONNECTIONS__<NAME>__ENDPOINT_URL)"
        )
    close = get_close_matches(name, settings.connections, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise JobRejected(
        f"connection: no connection {name!r}; choose from {', '.join(sorted(settings.connections))}{hint}"
    )


def _client(connection: Connection, *, threads: int) -> "S3Client":
    """Return this process's client for a connection; sessions are not thread-safe, clients are."""
    environment = tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))
    # A client must not be used on both sides of a fork.
    identity = (os.getpid(), connection, threads, environment)
    with _lock:
        if identity not in _clients:
            _clients[identity] = make_client(connection, threads=threads)
        return _clients[identity]
