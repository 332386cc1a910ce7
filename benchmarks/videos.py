"""Frames out of a long video: ours against a bare decode loop of PyAV, in turns in one run.

    python -m benchmarks.videos [--video FILE] [--quick]

Decoded frames a second (those displayed up to the last one that was asked for) and the ratio to PyAV alone with
`thread_type = "AUTO"`, which uses every core. Ours decodes groups of pictures in as many processes as there are cores, each
with one thread, and adds to every frame that is asked for its digest, its signature and what the request wants. Then how
much of the file a scan and sparse frames read. Without --video one minute of 1920 x 1080 is made first (H.264, crf 28).
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from benchmarks.rates import rates
from worker.media.images import DecodeRequest
from worker.media.limits import Limits
from worker.media.preprocessing import Preprocessing
from worker.samples import Decoded, Source
from worker.storage.local import LocalStore
from worker.video.processes import VideoDecoders
from worker.video.scanned import Scan

BARE = "PyAV alone, thread_type AUTO"
CHEAP = (
    "contrast",
    "height",
    "luminance",
    "mean_blue",
    "mean_green",
    "mean_red",
    "perceptual_hash",
    "size_in_bytes",
    "snr",
    "uniform_row_ratio",
    "width",
)
NOTHING = DecodeRequest()
USUAL = DecodeRequest(measures=CHEAP, embed=Preprocessing(resize=224, crop=224))
WAYS = {
    "every 30th frame, nothing else": (30, NOTHING),
    "every 30th frame, measures and 224 px": (30, USUAL),
    "every 5th frame, measures and 224 px": (5, USUAL),
    "every frame, nothing else": (1, NOTHING),
    "every frame, measures and 224 px": (1, USUAL),
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--video", type=Path, help="a file that PyAV opens")
    parser.add_argument("--frames", type=int, default=1800, help="how many of its first frames")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="few frames, one round")
    asked = parser.parse_args()
    count, repeats = (300, 1) if asked.quick else (asked.frames, asked.repeats)
    with tempfile.TemporaryDirectory() as folder:
        path = asked.video.absolute() if asked.video else _made(Path(folder) / "made.mp4", frames=count)
        with _decoders() as decoders:
            _measure(decoders, path, count=count, repeats=repeats)
        _read(path)


def _decoders() -> VideoDecoders:
    return VideoDecoders(os.cpu_count() or 1, Limits(), cache_bytes=256 * 2**20)


@dataclass(frozen=True, slots=True)
class Video:
    """A scanned video and the processes that decode it."""

    decoders: VideoDecoders
    store: LocalStore
    source: Source
    scan: Scan

    def decode(self, pts: list[int], request: DecodeRequest) -> Callable[[], None]:
        """Return a pass over some frames, in as many threads as there are cores."""
        runs = _parts(self.scan, pts)

        def one(run: list[int]) -> None:
            scan = self.scan
            for frame in self.decoders.frames(
                self.store, self.source, scan.header, run, request, packets=scan.packets
            ):
                if not isinstance(frame.result, Decoded):
                    raise SystemExit(
                        f"a frame cannot be had ({frame.result.detail}); measure with another video"
                    )

        def all_of_them() -> None:
            with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
                list(threads.map(one, runs))

        return all_of_them


def _measure(decoders: VideoDecoders, path: Path, *, count: int, repeats: int) -> None:
    video = _scanned(decoders, path)
    scan = video.scan
    displayed = scan.packets.displayed()[:count]
    ways: dict[str, Callable[[], object]] = {BARE: lambda: _bare(path, len(displayed))}
    for name, (step, request) in WAYS.items():
        ways[name] = video.decode(displayed[::step].tolist(), request)
    seen = rates(ways, count=len(displayed), repeats=repeats)
    lines = [
        f"{path.name}: {scan.header.codec}, {scan.header.width} x {scan.header.height}, {len(displayed)} frames"
    ]
    lines += ["| way | decoded frames/s | / PyAV alone |", "|---|---|---|"]
    lines += [f"| {name} | {rate:.0f} | {rate / seen[BARE]:.2f} |" for name, rate in seen.items()]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _read(path: Path) -> None:
    """Print what a scan, and then key frames or one frame in ten seconds, read of the whole file."""
    lines = ["", "| what | frames | bytes | of the file | requests | s |", "|---|---|---|---|---|---|"]
    with _decoders() as decoders:
        began = time.perf_counter()
        video = _scanned(decoders, path)
        source, scan = video.source, video.scan
        lines.append(_row(decoders, source, "scan", len(scan.packets.pts), began))
        displayed = scan.packets.displayed()
        times = np.arange(displayed[0], displayed[-1], round(10 / scan.header.time_base))
        every_ten = displayed[np.searchsorted(displayed, times, side="right") - 1]
        for name, pts in (("key frames", scan.packets.key_frames()), ("one in ten seconds", every_ten)):
            decoders.forget(source)
            began = time.perf_counter()
            video.decode(pts.tolist(), NOTHING)()
            lines.append(_row(decoders, source, name, len(pts), began))
    sys.stdout.write("\n".join(lines) + "\n")


def _row(decoders: VideoDecoders, source: Source, name: str, frames: int, began: float) -> str:
    traffic, took = decoders.traffic(source), time.perf_counter() - began
    share = traffic.bytes_read / source.size
    return f"| {name} | {frames} | {traffic.bytes_read:,} | {share:.1%} | {traffic.requests} | {took:.1f} |"


def _scanned(decoders: VideoDecoders, path: Path) -> Video:
    store = LocalStore(path.parent)
    found = store.head(path.name)
    if found is None:
        raise SystemExit(f"{path}: no such file")
    source = Source(found.key, found.etag, found.size)
    scan = decoders.scan(store, source)
    if not isinstance(scan, Scan):
        raise SystemExit(f"{path}: {scan.detail}")
    return Video(decoders, store, source, scan)


def _parts(scan: Scan, pts: list[int]) -> list[list[int]]:
    """Return the frames as runs of whole groups of pictures, four for each process."""
    keys = scan.packets.key_frames()
    parts = 4 * (os.cpu_count() or 1)
    groups = np.searchsorted(keys, pts, side="right")
    inside = np.unique(groups)
    borders = [inside[len(inside) * part // parts] for part in range(parts)]
    belongs = np.searchsorted(borders, groups, side="right")
    return [
        [one for one, part in zip(pts, belongs, strict=True) if part == number]
        for number in np.unique(belongs)
    ]


def _bare(path: Path, count: int) -> None:
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        stream.thread_type = "AUTO"
        for number, _ in enumerate(container.decode(stream), 1):
            if number == count:
                return


def _made(path: Path, *, frames: int) -> Path:
    """Make a video whose pictures move and have details everywhere."""
    rng = np.random.default_rng(7)
    tiles = rng.integers(0, 256, (68, 120, 3), np.uint8).repeat(32, axis=0).repeat(32, axis=1)
    noise = rng.integers(-8, 9, (2176, 3840, 1), np.int16)
    canvas = np.clip(tiles + noise, 0, 255).astype(np.uint8)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream(
            "libx264", rate=30, options={"preset": "veryfast", "crf": "28", "g": "100"}
        )
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        for index in range(frames):
            top, left = round(500 + 400 * np.sin(index / 90)), round(900 + 800 * np.sin(index / 140))
            view = np.ascontiguousarray(canvas[top : top + 1080, left : left + 1920])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(view, format="rgb24")))
        container.mux(stream.encode(None))
    return path


if __name__ == "__main__":
    main()
