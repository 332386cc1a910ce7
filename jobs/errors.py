"""The one error that a wrong job raises; it lives here so that a client can catch it."""


class JobRejected(ValueError):
    """The job is wrong: trying it again cannot help. The text names the place, the value and the choices."""
