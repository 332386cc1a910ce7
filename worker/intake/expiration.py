"""Which objects the bucket will delete before anyone can label them."""

from collections.abc import Callable
from datetime import datetime, timedelta

from jobs.datasource import InputExpiration
from worker.errors import AccessDenied, JobRejected, StorageError, StoreMissing
from worker.intake.object_rows import UNKNOWN_TIME
from worker.storage.store import ObjectInfo, ObjectStore

AT = "datasource.input_expiration"
NEEDED = "s3:GetLifecycleConfiguration"
_DAY = timedelta(days=1)


def expiring(
    store: ObjectStore, asked: InputExpiration | None, *, now: datetime
) -> Callable[[ObjectInfo], str | None] | None:
    """Return what says of an object of the input when it expires, if that is sooner than the job allows; None asks nothing.

    Of several rules that apply to an object the earliest counts. One request for all of them.

    Raises:
        JobRejected: the server does not say when objects expire.
    """
    if asked is None:
        return None
    try:
        rules = store.expiry_rules()
    except StoreMissing:
        raise
    except AccessDenied as error:
        raise JobRejected(f"{AT}: the right {NEEDED} is needed on the input ({error})") from error
    except StorageError as error:
        raise JobRejected(f"{AT}: the server does not say when objects expire ({error})") from error
    limit = now + timedelta(days=asked.min_days_to_expiration)

    def says(info: ObjectInfo) -> str | None:
        if rules and info.modified_at == UNKNOWN_TIME:
            raise JobRejected(
                f"{AT}: datasource.listing does not tell when objects were changed (last_modified)"
            )
        ends = [end for rule in rules if (end := rule.expires_at(info)) is not None]
        if not ends or min(ends) >= limit:
            return None
        left = (min(ends) - now) / _DAY
        return f"expires {min(ends):%Y-%m-%d %H:%M} UTC, {max(0.0, left):.1f} days after the listing"

    return says
