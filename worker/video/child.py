"""A process that decodes videos: it is asked by its parent, and asks its parent for the videos' bytes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from socket import socket
from time import monotonic

from av.error import FFmpegError

from worker.media.child import serve
from worker.media.images import DecodeRequest
from worker.media.limits import Limits
from worker.media.messages import receive, send, to_json
from worker.media.pictures import Unreadable
from worker.samples import Segment, SkipReason
from worker.video.decoding import Decoding, first_frame
from worker.video.frame_picture import FramePicture, Scalers
from worker.video.messages import Blobs, Message, frame_to, header_to, parsed, runs_from, scan_to, upright
from worker.video.opening import Opened, open_video
from worker.video.remote_file import RemoteFile, SkimmedFile
from worker.video.scanned import Frame
from worker.video.scanning import Packaged, key_frame_before, key_frames_after, packaged, scan

_MAX_SILENCE_S = 1.0


class Gone(ConnectionError):
    """The parent has closed the connection."""


def main() -> None:
    """Answer until the parent closes the socket or dies."""
    serve(_serve)


def _serve(connection: socket, limits: Limits) -> None:
    videos = _Videos(limits, _Parent(connection, min(_MAX_SILENCE_S, limits.decode_timeout_s / 4)))
    while (frame := receive(connection)) is not None:
        videos.answer(parsed(frame[0]))


class _Parent:
    """The other end of the socket."""

    def __init__(self, connection: socket, silence_s: float) -> None:
        self._connection = connection
        self._silence_s = silence_s
        self._said_at = monotonic()

    def say(self, kind: str, message: Message | None = None, blobs: Blobs = ()) -> None:
        """Send a message of a kind."""
        send(self._connection, to_json({"kind": kind, **(message or {})}), *blobs)
        self._said_at = monotonic()

    def still_there(self) -> None:
        """Say now and then that work goes on."""
        if monotonic() - self._said_at > self._silence_s:
            self.say("alive")

    def fetch(self, start: int, count: int) -> bytes:
        """Return bytes of the video that is being worked on."""
        send(self._connection, to_json({"kind": "need", "start": start, "count": count}))
        answer = receive(self._connection)
        if answer is None:
            raise Gone
        return bytes(answer[1])


@dataclass(slots=True)
class _Held:
    """The video that was asked for last, kept open."""

    name: str
    stream: int | None
    opened: Opened
    packaged: Packaged | None = None
    """Its packets, of an MP4 without a read of the frames."""
    beside: Packaged | None = None
    """The same, in a container that can be sought without disturbing the decoder."""

    def close(self) -> None:
        for one in (self.opened, self.packaged, self.beside):
            if one is not None:
                one.container.close()


class _Videos:
    """Answers the parent's questions about videos, one at a time."""

    def __init__(self, limits: Limits, parent: _Parent) -> None:
        self._limits = limits
        self._parent = parent
        self._held: _Held | None = None

    def answer(self, question: Message) -> None:
        """Answer one question; "done" comes last."""
        asked: dict[str, Callable[[_Held, Message], None]] = {
            "scan": self._scan,
            "key_frames": self._key_frames,
            "frames": self._frames,
        }
        try:
            asked[question["kind"]](self._opened(question["video"]), question)
        except Unreadable as error:
            self._parent.say("skipped", {"reason": error.reason, "detail": error.detail})
        except FFmpegError as error:
            self._let_go()
            detail = f"it cannot be read: {error.strerror}"
            self._parent.say("skipped", {"reason": SkipReason.CORRUPT, "detail": detail})
        self._parent.say("done")

    def _opened(self, video: Message) -> _Held:
        name, stream, size = video["name"], video["stream"], video["size"]
        held = self._held
        if held is not None and held.name == name and stream in {held.stream, held.opened.header.stream}:
            return held
        self._let_go()
        self._held = _Held(name, stream, self._open(size, stream))
        return self._held

    def _let_go(self) -> None:
        if self._held is not None:
            self._held.close()
        self._held = None

    def _packaged(self, held: _Held) -> Packaged:
        if held.packaged is None:
            size = held.opened.file.size
            held.packaged = packaged(held.opened, partial(SkimmedFile, size, self._parent.fetch))
        return held.packaged

    def _beside(self, held: _Held) -> Packaged:
        if held.opened.header.container == "mp4":
            return self._packaged(held)
        if held.beside is None:
            again = self._open(held.opened.file.size, held.opened.header.stream)
            held.beside = Packaged(again.container, again.stream, again.header.container)
        return held.beside

    def _open(self, size: int, stream: int | None) -> Opened:
        return open_video(RemoteFile(size, self._parent.fetch), self._limits, stream=stream)

    def _scan(self, held: _Held, question: Message) -> None:
        segment = Segment(**question["segment"]) if question["segment"] else None
        start = segment.start if segment else None
        if (
            held.opened.header.container != "mp4"
            and start is None
            and (segment is None or segment.end is None)
        ):
            self._parent.say("whole")
        frame = first_frame(held.opened, start)
        found = scan(held.opened, self._packaged(held), segment, self._parent.still_there)
        message, blobs = scan_to(found)
        if frame is not None:
            size = FramePicture(frame, found.header.codec, Scalers()).size
            message["header"] = header_to(upright(found.header, size))
        self._parent.say("scan", message, blobs)

    def _key_frames(self, held: _Held, question: Message) -> None:
        found = key_frames_after(held.opened, self._packaged(held), question["times_s"])
        self._parent.say("key_frames", {"header": header_to(found.header), "pts": found.pts})

    def _frames(self, held: _Held, question: Message) -> None:
        decoding = Decoding(
            held.opened,
            DecodeRequest.model_validate(question["request"]),
            self._parent.still_there,
            max_pixels=self._limits.max_pixels,
        )
        for frame in self._found(held, decoding, question):
            self._parent.say("frame", *frame_to(frame))

    def _found(self, held: _Held, decoding: Decoding, question: Message) -> Iterator[Frame]:
        match question["way"]:
            case "planned":
                return decoding.planned(runs_from(question["runs"]), linear=question["linear"])
            case "counted":
                return decoding.counted(question["pts"])
            case _:
                return decoding.sought(question["pts"], partial(key_frame_before, self._beside(held)))
