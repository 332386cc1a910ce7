"""The plan step: list the datasource once, freeze it, and cut it into chunks."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import groupby, pairwise
from operator import attrgetter
from pathlib import PurePosixPath

from worker.errors import JobRejected
from worker.intake.relevant import Relevant
from worker.layout import LIGHTLY, PRIVATE
from worker.manifest import NOT_UTF8, Chunk, Plan, Terms, chunk_digest
from worker.media.extensions import kind_of
from worker.samples import Source
from worker.storage.store import ObjectInfo, ObjectStore
from worker.video.segments import PLANNED_BYTES

BYTES_A_SOURCE = 600
"""Of memory, about, that one source takes while its plan is made and written; half of it once it is listed."""

VIDEO_BYTES = 256 * 1024
"""Of a video count as one source when chunks are cut."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What one listing found: the sources in key order, and a count of everything else by extension.

    `expiring` are left out since the bucket will soon delete them, each with a line that says when; `earlier` counts
    those that an earlier job has finished with.
    """

    sources: tuple[Source, ...]
    ignored: dict[str, int]
    expiring: tuple[tuple[Source, str], ...] = ()
    earlier: int = 0
    passed_over: dict[str, int] = field(default_factory=dict)
    """Rows of `datasource.listing` that are no objects of the input, by reason."""

    def long_videos(self) -> list[Source]:
        """Return the videos that are cut when they are planned, in key order."""
        return [source for source in self.sources if _is_long_video(source)]


def list_sources(
    store: ObjectStore,
    relevant: Relevant | None = None,
    *,
    objects: Iterable[ObjectInfo] | None = None,
    is_expiring: Callable[[ObjectInfo], str | None] | None = None,
) -> Listing:
    """List the datasource and keep what may be an image or a video.

    Names decide only what is worth a look: what a source is, its content says later. Where `objects` are given, in any
    order, the store is not asked. `is_expiring` returns a line that says when for an object that is to be left out. Holds
    the listing in memory, about 300 bytes an object.

    Raises:
        JobRejected: nothing to look at, or an object that is given twice.
    """
    ignored: Counter[str] = Counter()
    sources = []
    expiring = []
    for info in store.list() if objects is None else objects:
        if _own(info.key) or (relevant is not None and not relevant.matches(info.key)):
            continue
        if kind_of(info.key) != "other":
            soon = is_expiring(info) if is_expiring is not None else None
            if soon is None:
                sources.append(_source(info))
            else:
                expiring.append((_source(info), soon))
        else:
            ignored[PurePosixPath(info.key).suffix.lower() or "no extension"] += 1
    if objects is not None:
        _put_in_order(sources)
    if store.usage.unlisted:
        ignored[NOT_UTF8] = store.usage.unlisted
    if not sources and not expiring:
        others = ", ".join(f"{n} {ext}" for ext, n in sorted(ignored.items()))
        raise JobRejected(
            f"datasource.input: no images or videos under {store.url}"
            + (f" (only {others})" if others else " (it is empty)")
        )
    return Listing(tuple(sources), dict(sorted(ignored.items())), tuple(expiring))


def _put_in_order(sources: list[Source]) -> None:
    sources.sort(key=attrgetter("key"))  # by code points, which is by the bytes of their UTF-8
    for one, other in pairwise(sources):
        if one.key == other.key:
            raise JobRejected(f"datasource.listing: {one.key!r} is listed twice")


CutVideo = Callable[[Source], Sequence[tuple[Source, ...]]]
"""A long video to the chunks of its segments."""


def make_plan(
    listing: Listing,
    *,
    chunk_sources: int,
    planned_at: str,
    terms: Terms,
    video: str = "",
    cut_video: CutVideo = lambda source: ((source,),),
) -> Plan:
    """Cut a listing into chunks of about `chunk_sources` sources; a long video is chunks of its own.

    `video` says how videos are read. `cut_video` is called for each video of PLANNED_BYTES or more, in key order.
    """
    chunks = cut_into_chunks(listing.sources, target=chunk_sources, video=video, cut_video=cut_video)
    return Plan(chunks, listing.ignored, planned_at, terms, listing.expiring, listing.earlier, video)


def cut_into_chunks(
    sources: Sequence[Source],
    *,
    target: int,
    video: str = "",
    cut_video: CutVideo = lambda source: ((source,),),
) -> tuple[Chunk, ...]:
    """Return sources in key order as chunks of about `target`."""
    runs: list[Sequence[Source]] = []
    for is_long, some in groupby(sources, key=_is_long_video):
        if is_long:
            runs += (run for source in some for run in cut_video(source))
        else:
            runs += cut(list(some), target=target)
    return tuple(Chunk(index, chunk_digest(run, video), tuple(run)) for index, run in enumerate(runs))


def cut(sources: Sequence[Source], *, target: int) -> Iterator[Sequence[Source]]:
    """Yield runs of sources whose borders depend on the keys near them, not on how many came before.

    A source ends a run when the hash of its key says so (one in `target` does), once the run has target / 4; a run
    of 4 x target ends anyway. So an added or removed object changes the run it falls into, seldom the next one. A video
    counts as one source for each VIDEO_BYTES.
    """
    start, length = 0, 0
    smallest, largest = max(1, target // 4), 4 * target
    for end, source in enumerate(sources, start=1):
        weight = _weight(source)
        length += weight
        ends_run = any(_ends_run(source.key, target, part) for part in range(weight))
        if length >= largest or (length >= smallest and ends_run):
            yield sources[start:end]
            start, length = end, 0
    if start < len(sources):
        yield sources[start:]


def _weight(source: Source) -> int:
    return 1 + source.size // VIDEO_BYTES if kind_of(source.key) == "video" else 1


def _is_long_video(source: Source) -> bool:
    return source.size >= PLANNED_BYTES and kind_of(source.key) == "video"


def _ends_run(key: str, target: int, part: int = 0) -> bool:
    numbered = f"{key}/{part}" if part else key
    hashed = blake2b(numbered.encode("utf-8"), digest_size=8).digest()
    return int.from_bytes(hashed, "big") % target == 0


def _own(key: str) -> bool:
    return any(f"/{folder}" in f"/{key}" for folder in (PRIVATE, LIGHTLY))


def _source(info: ObjectInfo) -> Source:
    return Source(info.key, info.etag, info.size)
