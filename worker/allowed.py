"""Where queued jobs may read and write: whoever reaches the queue is not thereby trusted with the machine."""

from collections.abc import Iterable

from jobs.datasource import Location
from jobs.errors import JobRejected
from jobs.spec import SelectionJob
from worker.settings import Settings


def refuse_other_places(job: SelectionJob, settings: Settings) -> None:
    """Refuse a job that writes outside FRAMESIFT_OUTPUTS, or reads what this deployment does not offer.

    Raises:
        JobRejected: names the place and the choices.
    """
    output, source = job.datasource.output, job.datasource.input
    if not _is_below(output, settings.outputs):
        raise JobRejected(
            f"datasource.output: {output.url} is below none of FRAMESIFT_OUTPUTS: {_listed(settings.outputs)}"
        )
    if settings.inputs and not _is_below(source, settings.inputs):
        raise JobRejected(
            f"datasource.input: {source.url} is below none of FRAMESIFT_INPUTS: {_listed(settings.inputs)}"
        )
    if not settings.inputs and not source.is_s3:
        raise JobRejected(
            f"datasource.input: {source.url} is a folder of the worker's machine; FRAMESIFT_INPUTS names none that a"
            " queued job may read"
        )


def _is_below(place: Location, allowed: Iterable[Location]) -> bool:
    return any(one.contains(place) for one in allowed)


def _listed(places: Iterable[Location]) -> str:
    return ", ".join(one.url for one in places) or "none is set"
