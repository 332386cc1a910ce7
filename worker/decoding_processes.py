"""The processes of this machine that decode: images whole, videos a frame at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from worker.media.decoders import Decoders
from worker.media.limits import Limits
from worker.settings import Settings
from worker.video.processes import VideoDecoders


@dataclass(frozen=True, slots=True)
class DecodingProcesses:
    """Two pools of `processes` processes each, which start when they are first needed."""

    images: Decoders
    videos: VideoDecoders
    processes: int


@contextmanager
def start_decoding(settings: Settings, limits: Limits, *, threads: int) -> Iterator[DecodingProcesses]:
    """Give the pools, of as many processes as the settings say, else `threads`; end the processes afterwards."""
    processes = settings.decode_processes or threads
    with (
        Decoders(processes, limits) as images,
        VideoDecoders(processes, limits, cache_bytes=settings.video_cache_bytes) as videos,
    ):
        yield DecodingProcesses(images, videos, processes)
