"""The error tree.

FramesiftError
├── JobFailed            the job could not be finished; the same job may succeed later
└── StorageError         a bucket or folder did not do what was asked
    ├── AccessDenied     credentials or permissions
    ├── StoreMissing     no such bucket or folder
    ├── ObjectMissing    no such object
    └── ObjectChanged    the object is not the one that the plan froze (ETag or size differ)

`jobs.errors.JobRejected` stands beside the tree: a wrong job, refused before any download.
"""

from jobs.errors import JobRejected

__all__ = [
    "AccessDenied",
    "FramesiftError",
    "JobFailed",
    "JobRejected",
    "ObjectChanged",
    "ObjectMissing",
    "StorageError",
    "StoreMissing",
]


class FramesiftError(Exception):
    """Whatever this worker raises on purpose while a job runs."""


class JobFailed(FramesiftError):
    """The job could not be finished, though nothing is wrong with its text."""


class StorageError(FramesiftError):
    """A bucket or folder did not do what was asked, after the retries that make sense."""


class AccessDenied(StorageError):
    """Credentials are missing or wrong, or do not allow this."""


class StoreMissing(StorageError):
    """There is no such bucket or folder; what is missing is the place, not one object."""


class ObjectMissing(StorageError):
    """There is no such object."""


class ObjectChanged(StorageError):
    """The object is no longer the one that was listed: its ETag or its size differs."""
