"""Videos in child processes: scanned, and decoded frame by frame, from bytes that are read as they are needed."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from heapq import merge
from time import monotonic
from typing import Self

from worker.errors import ObjectChanged, ObjectMissing
from worker.media.children import Child, Children, command_of
from worker.media.images import DecodeRequest
from worker.media.limits import Limits
from worker.media.messages import to_json
from worker.samples import Skipped, SkipReason, Source
from worker.storage.store import ObjectStore
from worker.video.messages import Message, frame_from, header_from, parsed, runs_to, scan_from
from worker.video.ranges import RangeCache, RangeReader
from worker.video.runs import Plan, after_death, plan_runs
from worker.video.scanned import Frame, Header, KeyFrames, Packets, Scan, Traffic

MAX_DEATHS = 3
"""How many processes one call of `frames` may cost; the frames that are then left are not tried."""

_COMMAND = command_of("worker.video.child")


class VideoDecoders:
    """A pool of `processes` processes that decode videos, each started when it is first needed.

    Every method may be called from several threads; a call takes one process, waiting for a free one, preferably one that
    has the video open from the call before. Leave the context only when all calls have returned. Memory: `cache_bytes` of
    videos' bytes for all of them, and `limits.decode_memory_bytes` of address space a process. A process sees no store, no
    credentials and no network address: it asks its parent for bytes.

    A process that does not come forward for `limits.decode_timeout_s`, not counting the time in which it waits for bytes,
    is killed. An object that is gone or another one than was listed is skipped; a store that fails raises StorageError.
    """

    def __init__(
        self, processes: int, limits: Limits, *, cache_bytes: int, command: Sequence[str] = _COMMAND
    ) -> None:
        self._limits = limits
        self._children = Children(processes, limits, command)
        self._ranges = RangeCache(cache_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._children.close()
        self._ranges.close()

    def traffic(self, source: Source) -> Traffic:
        """Return what was read of a source's object, with all its segments, since it was last forgotten."""
        return self._ranges.traffic(source)

    def forget(self, source: Source) -> None:
        """Let go of what is known of a source's object: its bytes in memory and its traffic."""
        self._ranges.forget(source)

    def scan(self, store: ObjectStore, source: Source) -> Scan | Skipped:
        """Return the packets of a whole video, or those of a source's segment, with start <= pts < end.

        An MP4's index tells them, without a read of its frames but the first; anything else is read through. Memory: 26
        bytes a packet.
        """
        segment = asdict(source.segment) if source.segment else None
        answer = self._answered(store, source, {"kind": "scan", "segment": segment})
        return answer if isinstance(answer, Skipped) else scan_from(*answer)

    def key_frames_after(
        self, store: ObjectStore, source: Source, times_s: Sequence[float]
    ) -> KeyFrames | Skipped:
        """Return for each time, in seconds from the stream's start, a key frame at or after it, found by seeking.

        It is the first such one, unless the container's own index knows only of a later one.
        """
        answer = self._answered(store, source, {"kind": "key_frames", "times_s": list(times_s)})
        if isinstance(answer, Skipped):
            return answer
        return KeyFrames(header_from(answer[0]["header"]), tuple(answer[0]["pts"]))

    def frames(
        self,
        store: ObjectStore,
        source: Source,
        header: Header,
        pts: Sequence[int],
        request: DecodeRequest,
        *,
        packets: Packets | None,
    ) -> Generator[Frame]:
        """Yield one frame for each pts asked for, which ascend, in their order, as they are decoded.

        Each group of packets from key frame to key frame is decoded once at most, and as far as needed. Where `packets`
        holds what the scan found there, exactly the bytes needed are read; else the frames are sought.

        A frame that cannot be had is Skipped: with the rest of its group where a process died or the codec found damage
        (see worker/video/decoding.py for what no codec finds), and for good: no place is tried twice.

        Memory: one frame at a time, besides a few that the socket holds. Close the generator to stop early.

        Raises:
            JobFailed: a process does not start.
            StorageError: the store failed for good.
        """
        if not header.timed:
            yield from self._unplanned(store, source, header, pts, request, way="counted")
        elif packets is None:
            yield from self._unplanned(store, source, header, pts, request, way="sought")
        else:
            plan = plan_runs(packets, pts, indexed=header.has_index, size=source.size)
            unknown = (_lost(one, _NO_SUCH_FRAME) for one in plan.unknown)
            planned = self._planned(store, source, header, plan, request)
            yield from merge(planned, unknown, key=_pts_of)

    def _planned(
        self, store: ObjectStore, source: Source, header: Header, plan: Plan, request: DecodeRequest
    ) -> Iterator[Frame]:
        for death in range(1, MAX_DEATHS + 1):
            if not plan.runs:
                return
            given, why = 0, None
            question = {"way": "planned", "runs": runs_to(plan.runs), "linear": plan.linear}
            for frame in self._decoded(store, source, header, question, request, plan=plan):
                if isinstance(frame, Skipped):
                    why = frame
                else:
                    given += 1
                    yield frame
            if why is None:
                return
            lost, plan = after_death(plan, given)
            if death == MAX_DEATHS or not _is_local(why):
                lost += tuple(pts for run in plan.runs for pts in run.targets)
                plan = Plan((), (), ())
            yield from (_lost(pts, why) for pts in lost)

    def _unplanned(
        self,
        store: ObjectStore,
        source: Source,
        header: Header,
        pts: Sequence[int],
        request: DecodeRequest,
        *,
        way: str,
    ) -> Iterator[Frame]:
        found = self._decoded(store, source, header, {"way": way, "pts": list(pts)}, request)
        for given, frame in enumerate(found):
            if isinstance(frame, Skipped):
                yield from (_lost(one, frame) for one in pts[given:])
                return
            yield frame

    def _decoded(
        self,
        store: ObjectStore,
        source: Source,
        header: Header,
        question: Message,
        request: DecodeRequest,
        *,
        plan: Plan | None = None,
    ) -> Iterator[Frame | Skipped]:
        """Yield what one process gives, and at last why it gives no more if it ended before its time."""
        whole = {**question, "kind": "frames", "request": request.model_dump()}
        with self._talk(store, source) as (child, reader):
            if plan is not None:
                reader.expect(plan.spans)
            for message, blob in self._conversation(child, reader, whole, source, stream=header.stream):
                if isinstance(message, Skipped):
                    yield message
                elif message["kind"] == "frame":
                    yield frame_from(message, blob)

    def _answered(
        self, store: ObjectStore, source: Source, question: Message
    ) -> tuple[Message, bytearray] | Skipped:
        if source.size == 0:
            return Skipped(SkipReason.EMPTY, "zero bytes")
        if source.size > self._limits.max_video_bytes:
            detail = f"{source.size:,} bytes; the limit is {self._limits.max_video_bytes:,}"
            return Skipped(SkipReason.TOO_MANY_BYTES, detail)
        stream = source.segment.stream if source.segment else None
        answer: tuple[Message, bytearray] | Skipped | None = None
        with self._talk(store, source) as (child, reader):
            for message, blob in self._conversation(child, reader, question, source, stream=stream):
                answer = message if isinstance(message, Skipped) else (message, blob)
        assert answer is not None  # noqa: S101  # there is one, or the reason why there is none
        return answer

    @contextmanager
    def _talk(self, store: ObjectStore, source: Source) -> Iterator[tuple[Child, RangeReader]]:
        """Take a process and a reader for it; the process is ended should it not be heard to the end."""
        name = to_json({"url": store.url, "key": source.key, "etag": source.etag}).decode()
        with self._ranges.reader(store, source) as reader, self._children.one(name) as child:
            child.keeps = name
            yield child, reader

    def _conversation(
        self, child: Child, reader: RangeReader, question: Message, source: Source, *, stream: int | None
    ) -> Iterator[tuple[Message | Skipped, bytearray]]:
        """Put a question, yield what the process says, and at last why it says no more if it did not say all."""
        timeout_s = self._limits.decode_timeout_s
        video = {"name": child.keeps, "size": source.size, "stream": stream}
        try:
            child.send(to_json({**question, "video": video}), timeout_s=timeout_s)
            yield from _heard(child, reader, timeout_s=timeout_s)
            return
        except TimeoutError:
            why = Skipped(SkipReason.DECODE_TIMEOUT, f"nothing decoded within {timeout_s:g} s")
        except ObjectMissing:
            why = Skipped(SkipReason.MISSING, "gone since it was listed")
        except ObjectChanged:
            why = Skipped(SkipReason.CHANGED, "changed since it was listed")
        child.kill()
        yield why, bytearray()


def _heard(
    child: Child, reader: RangeReader, *, timeout_s: float
) -> Iterator[tuple[Message | Skipped, bytearray]]:
    """Yield what a process says until it is done or dead, and serve it the bytes that it needs.

    Raises:
        TimeoutError: it did not come forward. To read is not to come forward, and waiting for bytes does not count.
        StorageError: the bytes cannot be had.
    """
    left_s = timeout_s
    while True:
        began = monotonic()
        answer = child.receive(timeout_s=left_s)
        left_s = max(0.0, left_s - (monotonic() - began))
        if answer is None:
            yield child.death(), bytearray()
            return
        message = parsed(answer[0])
        if message["kind"] == "need":
            child.send(b"{}", reader.read(message["start"], message["count"]), timeout_s=timeout_s)
            continue
        left_s = timeout_s
        match message["kind"]:
            case "done":
                return
            case "alive":
                pass
            case "whole":
                reader.expect_all()
            case "skipped":
                yield Skipped(SkipReason(message["reason"]), message["detail"]), bytearray()
            case _:
                yield message, answer[1]


_NO_SUCH_FRAME = Skipped(SkipReason.CORRUPT, "no frame with this timestamp was found in the file")

_OF_A_PLACE = {SkipReason.DECODE_TIMEOUT, SkipReason.DECODE_CRASHED, SkipReason.OUT_OF_MEMORY}


def _is_local(why: Skipped) -> bool:
    """Tell whether frames elsewhere in the video may still be had."""
    return why.reason in _OF_A_PLACE


def _lost(pts: int, why: Skipped) -> Frame:
    return Frame(pts, None, None, why)


def _pts_of(frame: Frame) -> int:
    return frame.pts
