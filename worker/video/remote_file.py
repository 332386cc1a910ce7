"""A stored object as a file for FFmpeg, in the decoding process: its bytes come from the parent."""

import os
from collections.abc import Callable

from worker.video.boxes import Boxes

Fetch = Callable[[int, int], bytes]
"""Bytes from a position: at least one, and as many as the parent likes; none at the end."""


class RemoteFile:
    """What FFmpeg needs of a file: read, seek, tell. Holds one answer of the parent, about 1 MiB.

    It has no name, and nothing else can be opened through it.
    """

    def __init__(self, size: int, fetch: Fetch) -> None:
        self.size = size
        self._fetch = fetch
        self._position = 0
        self._window = b""
        self._window_start = 0

    def read(self, count: int) -> bytes:
        """Return up to `count` bytes; none at the end."""
        data = self._at(self._position, count)
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move, and return the new position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise OSError("before the beginning of the file")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def read_at(self, start: int, count: int) -> bytes:
        """Return bytes from a position, as many as asked for unless the file ends; the own position stays."""
        parts = []
        while count and (part := self._at(start, count)):
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return b"".join(parts)

    def _at(self, start: int, count: int) -> bytes:
        offset = start - self._window_start
        if not 0 <= offset < len(self._window):
            if start >= self.size or count <= 0:
                return b""
            self._window, self._window_start, offset = self._fetch(start, count), start, 0
        return self._window[offset : offset + count]


class SkimmedFile(RemoteFile):
    """An MP4 whose media data reads as zeros, so that what its index says can be had without the data.

    Where the file was cut off, the media data goes on to where its box says that it ends.
    """

    def __init__(self, size: int, fetch: Fetch) -> None:
        self._boxes: Boxes | None = None
        super().__init__(size, fetch)
        boxes = Boxes(self.read_at, size)
        self.size = boxes.stated_size()
        self._boxes = boxes

    def _at(self, start: int, count: int) -> bytes:
        if self._boxes is None:
            return super()._at(start, count)
        if (media := self._boxes.media_at(start)) is not None:
            return bytes(min(count, media.stop - start))
        return super()._at(start, min(count, self._boxes.next_media(start) - start))
