"""Where queued jobs may read and write: whoever reaches the queue is not thereby trusted with the machine."""

from collections.abc import Iterable

from jobs.datasource import ListingObject, Location
from jobs.errors import JobRejected
from jobs.spec import SelectionJob
from worker.settings import Settings


def refuse_other_places(job: SelectionJob, settings: Settings) -> None:
    """Refuse a job that writes outside FRAMESIFT_OUTPUTS, or reads what this deployment does not offer.

    Raises:
        JobRejected: names the place and the choices.
    """
    output, source, listing = job.datasource.output, job.datasource.input, job.datasource.listing
    if not _is_below(output, settings.outputs):
        raise JobRejected(
            f"datasource.output: {_shown(output)} is below none of FRAMESIFT_OUTPUTS: {_listed(settings.outputs)}"
        )
    _refuse_input(source, settings, at="datasource.input")
    if listing is not None:
        _refuse_input(listing, settings, at="datasource.listing")


def _refuse_input(place: Location | ListingObject, settings: Settings, *, at: str) -> None:
    if settings.inputs and not _is_below(place, settings.inputs):
        raise JobRejected(
            f"{at}: {_shown(place)} is below none of FRAMESIFT_INPUTS: {_listed(settings.inputs)}"
        )
    if not settings.inputs and not place.is_s3:
        raise JobRejected(
            f"{at}: {place.url} is on the worker's machine; FRAMESIFT_INPUTS names no folder that a queued job may read"
        )


def _is_below(place: Location | ListingObject, allowed: Iterable[Location]) -> bool:
    return any(one.contains(place) for one in allowed)


def _listed(places: Iterable[Location]) -> str:
    return ", ".join(map(_shown, places)) or "none is set"


def _shown(place: Location | ListingObject) -> str:
    return place.url if place.connection is None else f"{place.url} by connection {place.connection!r}"
