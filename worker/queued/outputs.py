"""Which places a deployment writes to: what it needs to find its jobs again when the queue has forgotten them."""

import logging
from collections.abc import Iterator

from pydantic import BaseModel, Field

from jobs.datasource import Location
from jobs.ids import digest
from worker.errors import StoreMissing
from worker.layout import PRIVATE
from worker.publish import JSON
from worker.settings import Settings
from worker.storage.connect import connect

OUTPUTS = f"{PRIVATE}outputs/"
FORMAT_VERSION = 1

logger = logging.getLogger(__name__)


class _Marker(BaseModel):
    format_version: int = Field(default=FORMAT_VERSION, ge=1, le=FORMAT_VERSION)
    url: str
    connection: str | None


def register_output(output: Location, settings: Settings) -> None:
    """Note in the allowed place around an output that there is this one below it.

    Raises:
        StorageError: the place cannot be written to.
    """
    for around in settings.outputs:
        if around.contains(output) and around != output:
            store = connect(around, settings, may_be_absent=True)
            key = f"{OUTPUTS}{digest(output.url)}.json"
            if store.head(key) is None:
                about = _Marker(url=output.url, connection=output.connection)
                store.put(key, about.model_dump_json().encode(), media_type=JSON)
            return


def known_outputs(around: Location, settings: Settings) -> Iterator[Location]:
    """Yield one of FRAMESIFT_OUTPUTS, and the outputs below it that jobs have used.

    Raises:
        StorageError: the place cannot be listed; one that does not exist yet has none below it.
    """
    yield around
    store = connect(around, settings, may_be_absent=True)
    try:
        keys = [info.key for info in store.list(OUTPUTS)]
    except StoreMissing:
        return
    for key in keys:
        try:
            about = _Marker.model_validate_json(store.get(key))
            place = Location(url=about.url, connection=about.connection)
        except ValueError:
            logger.warning("%s%s: not the mark of an output", store.url, key)
            continue
        if around.contains(place):  # what lies in a bucket is data: it opens no other place
            yield place
