"""Says what a job would do, having listed but not downloaded anything."""

from dataclasses import dataclass
from datetime import UTC, datetime

from worker.facets import missing_facets
from worker.foresight import Foresight, foresee
from worker.history import unfinished_run
from worker.intake.take_in import take_in
from worker.layout import CHUNKS
from worker.media.extensions import kind_of
from worker.plan import Listing, make_plan
from worker.prepare import Prepared, refused_where_missing


@dataclass(frozen=True, slots=True)
class Forecast:
    """What `run` would do now."""

    input_url: str
    output_url: str
    sources: int
    videos: int
    """How many of the sources are videos; how many frames these have is not known before they are read."""
    source_bytes: int
    ignored: dict[str, int]
    passed_over: dict[str, int]
    """Rows of `datasource.listing` that are no objects of the input, by reason."""
    earlier: int
    """Objects that an earlier job has finished with, which `datasource.process: new` leaves out."""
    expiring: int
    """Images left out since the bucket will soon delete them."""
    datapool: int | None
    """Samples that the datapool holds at most; null: the job has none, or makes it."""
    chunks: int
    """A video of 32 MiB or more counts as one; planning cuts it."""
    chunks_done: int
    """Chunks of which every facet that this job needs is in the output already."""
    sources_to_read: int
    bytes_to_read: int
    requests: dict[str, int]
    """Requests to the stores, about: pictures of the report and retries come on top."""
    asked: int | None
    """Samples to select; null: a share of frames that nobody has counted yet."""
    model: str
    resumes: str | None
    """Id of the unfinished run of this job that `run` would take up instead of listing again."""
    classes: dict[str, dict[str, int]]
    """How many sources have each value of a metadata key that the job uses; the most frequent ones."""
    without_value: dict[str, int]
    more_values: dict[str, int]
    """Values of each key that `classes` does not list."""
    strategies: dict[str, str]
    """What the strategies on metadata from names will do, by their place in the job."""


def forecast(prepared: Prepared) -> Forecast:
    """List the input and the finished chunks, and reckon.

    Raises:
        JobRejected: no such place, nothing to select from, or whatever else the names alone tell to be impossible. StorageError: a store cannot be listed.
    """
    with refused_where_missing("datasource.output"):
        existing = {info.key for info in prepared.output.list(CHUNKS)}
    listing = take_in(prepared, now=datetime.now(UTC))
    names = [source.key for source in listing.sources]
    foresight = foresee(prepared, names) if names else Foresight({}, {}, {}, {})
    plan = make_plan(
        listing,
        chunk_sources=prepared.settings.chunk_sources,
        planned_at="",
        terms=prepared.terms,
        video=prepared.video_text,
    )
    lacking = [
        (chunk, missing)
        for chunk in plan.chunks
        if (missing := missing_facets(chunk.digest, prepared.facets, existing=existing, job_id=""))
    ]
    to_read = [source for chunk, _ in lacking for source in chunk.sources]
    listed = 0 if prepared.job.datasource.listing else -(-len(listing.sources) // 1000)
    return Forecast(
        input_url=prepared.source.url,
        output_url=prepared.output.url,
        sources=len(listing.sources),
        videos=sum(kind_of(source.key) == "video" for source in listing.sources),
        source_bytes=sum(source.size for source in listing.sources),
        ignored=listing.ignored,
        passed_over=listing.passed_over,
        earlier=listing.earlier,
        expiring=len(listing.expiring),
        datapool=foresight.datapool,
        chunks=len(plan.chunks),
        chunks_done=len(plan.chunks) - len(lacking),
        sources_to_read=len(to_read),
        bytes_to_read=sum(source.size for source in to_read),
        requests={
            "LIST": listed + -(-len(existing) // 1000) + 2,
            "GET": len(to_read) + len(plan.chunks) * (len(prepared.facets) + 1),
            "PUT": sum(len(missing) for _, missing in lacking) + 12,
        },
        asked=_asked(prepared, listing),
        model=prepared.identity.name,
        resumes=unfinished_run(prepared.output, job_name=prepared.job.name, job_json=prepared.job_json),
        classes=foresight.classes,
        without_value=foresight.without_value,
        more_values=foresight.more_values,
        strategies=foresight.strategies,
    )


def _asked(prepared: Prepared, listing: Listing) -> int | None:
    selection = prepared.job.selection
    if selection.n_samples is None and any(kind_of(source.key) == "video" for source in listing.sources):
        return None
    return selection.asked_of(len(listing.sources))
