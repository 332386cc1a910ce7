"""What a client may catch. The worker's own errors stand in `worker.errors`.

JobRejected        the job is wrong: trying it again cannot help
SettingsWrong      this machine's settings say something that cannot be
QueueError         the queue did not do what was asked
├── QueueDown      Redis cannot be reached, or refuses
├── NoSuchJob      the queue does not know the job
└── DamagedRecord  what the queue knows of a job cannot be
"""


class JobRejected(ValueError):
    """The job is wrong: trying it again cannot help. The text names the place, the value and the choices."""


class SettingsWrong(ValueError):
    """A variable or the settings file says something that cannot be; the text names the place."""


class QueueError(Exception):
    """The queue did not do what was asked."""


class QueueDown(QueueError):
    """Redis cannot be reached, or refuses; what was asked may be asked again."""


class NoSuchJob(QueueError):
    """The queue does not know this job."""


class DamagedRecord(QueueError):
    """What the queue knows of a job cannot be; nobody works on it."""
