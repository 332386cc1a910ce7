"""What a job takes in: the listing, without what earlier jobs have finished with and what will soon be gone."""

from dataclasses import replace
from datetime import datetime

from worker.errors import JobRejected
from worker.intake.expiration import AT, expiring
from worker.intake.listing import list_input
from worker.intake.seen import seen_before, seen_set
from worker.plan import Listing
from worker.prepare import Prepared, refused_where_missing


def take_in(prepared: Prepared, *, now: datetime) -> Listing:
    """List the input once, or read what lists it, and keep what the job is to look at. No sources left is a normal end where only new ones count.

    Raises:
        JobRejected: nothing to look at, or objects expire too soon and the job says ABORT.
    """
    datasource = prepared.job.datasource
    with refused_where_missing("datasource.input"):
        is_expiring = expiring(prepared.source, datasource.input_expiration, now=now)
    listing = list_input(prepared, is_expiring=is_expiring)
    if datasource.process == "new":
        with refused_where_missing("datasource.output"):
            listing = _only_new(listing, prepared)
    _check_expiring(prepared, listing)
    return listing


def _only_new(listing: Listing, prepared: Prepared) -> Listing:
    sources, count = listing.sources, len(listing.sources)
    listed = [*sources, *(source for source, _ in listing.expiring)]
    old = seen_before(listed, prepared.output, seen_set(prepared.job, prepared.source))
    return replace(
        listing,
        sources=tuple(one for one, is_old in zip(sources, old[:count], strict=True) if not is_old),
        expiring=tuple(one for one, is_old in zip(listing.expiring, old[count:], strict=True) if not is_old),
        earlier=int(old.sum()),
    )


def _check_expiring(prepared: Prepared, listing: Listing) -> None:
    asked = prepared.job.datasource.input_expiration
    if asked is None or not listing.expiring:
        return
    source, when = listing.expiring[0]
    soon = f"within {asked.min_days_to_expiration:g} days, the first of them {source.key!r} ({when})"
    if asked.handling_strategy == "ABORT":
        raise JobRejected(f"{AT}: {len(listing.expiring):,} images of {prepared.source.url} expire {soon}")
    if not listing.sources and prepared.job.datasource.process == "all":
        raise JobRejected(f"{AT}: all {len(listing.expiring):,} images to look at expire {soon}")
