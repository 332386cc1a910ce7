"""The chunk step against its own two stages run bare, and against ImageFolder + DataLoader.

    python -m benchmarks.pipeline [--photos DIR] [--quick]

Images a second with the default embedder, measured in turns in one run; ratios are the result. Needs the extra `dev`
for the S3 server. Where one CPU decodes and runs the model, both share its cores: then nothing beats
1 / (1 / decode + 1 / forward), and 90 % of the slower stage alone can only be reached where the model has a device of its own.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.image_folder import eager, with_our_forward
from benchmarks.photo_sets import DEMO, SIZES_PX, copy_photos, find_photos, tile_photos
from benchmarks.rates import rates
from jobs.job_options import job_document
from jobs.spec import parse_job
from tests.servers import client_of, nanio_server
from worker.chunk import Embedding, Work, compute_chunks
from worker.device import Device, choose_device
from worker.embedder import Forward
from worker.facets import Facet
from worker.media.images import DecodeRequest
from worker.models.batches import BatchEmbedder
from worker.plan import list_sources, make_plan
from worker.prepare import Prepared, prepare
from worker.reading import Reader
from worker.runner import open_reader
from worker.samples import Decoded
from worker.settings import load_settings
from worker.storage.local import LocalStore
from worker.storage.s3 import S3Store
from worker.storage.store import ObjectStore

JOB_ID = "benchmark"
DECODE, FORWARD = "bare decode", "bare forward"
OURS, OURS_S3, PIXELS_ONLY = "ours, folder", "ours, S3 over HTTP", "ours, folder, no measures"
DECODE_PIXELS = "bare decode, no measures"
EAGER, PEER_DECODE = "ImageFolder, torch eager", "ImageFolder, our forward"


@dataclass(frozen=True, slots=True)
class Bench:
    """A job that is ready to run, with its decoding processes and its model started."""

    prepared: Prepared
    device: Device
    reader: Reader
    forward: Forward

    @property
    def facets(self) -> tuple[Facet, ...]:
        """Every facet of the job: measures and embedding."""
        return self.prepared.facets

    @property
    def pixels_only(self) -> tuple[Facet, ...]:
        """The embedding alone."""
        return tuple(facet for facet in self.facets if facet.kind == "embedding")

    def compute(self, store: ObjectStore, facets: tuple[Facet, ...]) -> Callable[[], None]:
        """Return a pass of the chunk step over a store, which computes everything anew and writes it over the old."""
        settings, identity = self.prepared.settings, self.prepared.identity
        plan = make_plan(
            list_sources(store),
            chunk_sources=settings.chunk_sources,
            planned_at="",
            terms=self.prepared.terms,
        )
        embedding = Embedding(
            BatchEmbedder(self.forward, dimension=identity.dimension),
            identity.preprocessing,
            settings.batch_size,
        )

        def run() -> None:
            done = compute_chunks(
                [Work(chunk, facets) for chunk in plan.chunks],
                reader=replace(self.reader, store=store),
                embedding=embedding,
                output=self.prepared.output,
                job_id=JOB_ID,
            )
            if sum(chunk.skipped_count for chunk in done):
                raise SystemExit(f"{store.url}: some photos cannot be read; measure with others")

        return run

    def decode(self, bodies: list[bytes], facets: tuple[Facet, ...]) -> Callable[[], list[NDArray[np.uint8]]]:
        """Return a pass over bodies in memory by the decoding processes, all busy; it returns the model's pixels."""
        request = DecodeRequest(
            measures=tuple(name for facet in facets for name in facet.measures),
            embed=self.prepared.identity.preprocessing,
        )

        def pixels(body: bytes) -> NDArray[np.uint8]:
            result = self.reader.decoders.decode(body, request)
            if not isinstance(result, Decoded) or result.pixels is None:
                raise SystemExit(f"a photo cannot be read ({result}); measure with others")
            return result.pixels

        def run() -> list[NDArray[np.uint8]]:
            with ThreadPoolExecutor(2 * self.device.threads) as threads:
                return list(threads.map(pixels, bodies))

        return run

    def run_forward(self, pixels: list[NDArray[np.uint8]]) -> Callable[[], None]:
        """Return a pass of the model over pixels that are ready."""
        size = self.prepared.settings.batch_size
        batches = [np.stack(pixels[start : start + size]) for start in range(0, len(pixels), size)]

        def run() -> None:
            for batch in batches:
                self.forward(batch)

        return run


def main() -> None:
    """Print a table for each set of photos."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, default=DEMO, help="a folder with JPEGs (default: the demo's)")
    parser.add_argument("--quick", action="store_true", help="few photos, one round")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    small, large, repeats = (32, 16, 1) if asked.quick else (128, 64, asked.repeats)
    photos = find_photos(asked.photos, small)
    with tempfile.TemporaryDirectory() as name, _bench(Path(name)) as bench:
        folder = copy_photos(photos, Path(name) / "as_they_are")
        sys.stdout.write(f"default embedder on {bench.device.label}\n")
        _measure(bench, folder, "as they are", repeats=repeats, over_http=True)
        for size_px in SIZES_PX:
            title = f"{size_px[0]} x {size_px[1]}"
            folder = tile_photos(photos, Path(name) / title, size_px=size_px, count=large)
            _measure(bench, folder, f"mosaics of {title}, quality 90", repeats=repeats, over_http=False)


@contextmanager
def _bench(folder: Path) -> Iterator[Bench]:
    (folder / "none").mkdir()
    options = {
        "datasource.input": str(folder / "none"),
        "datasource.output": str(folder / "output"),
        "selection.n_samples": 1,
    }
    job = parse_job(job_document(None, options=options, assignments=[]))
    prepared = prepare(job, load_settings())
    device = choose_device(prepared.settings.device)
    forward = prepared.embedder.load(device, prepared.weights)
    with open_reader(prepared, device) as reader:
        yield Bench(prepared, device, reader, forward)


def _measure(bench: Bench, folder: Path, title: str, *, repeats: int, over_http: bool) -> None:
    bodies = [path.read_bytes() for path in sorted(folder.rglob("*.jpg"))]
    decode = bench.decode(bodies, bench.facets)
    local = LocalStore(folder)
    ways: dict[str, Callable[[], object]] = {
        DECODE: decode,
        FORWARD: bench.run_forward(decode()),
        OURS: bench.compute(local, bench.facets),
        DECODE_PIXELS: bench.decode(bodies, bench.pixels_only),
        PIXELS_ONLY: bench.compute(local, bench.pixels_only),
        EAGER: eager(folder, bench.device),
        PEER_DECODE: with_our_forward(folder, bench.device, bench.forward),
    }
    if not over_http:
        _show(title, bodies, rates(ways, count=len(bodies), repeats=repeats))
        return
    with tempfile.TemporaryDirectory() as name, nanio_server(Path(name)) as server:
        bucket = server.make_bucket("photos")
        store = S3Store(bucket, "", client_of(server))
        for number, body in enumerate(bodies):
            store.put(f"{number:05}.jpg", body, media_type="image/jpeg")
        ways[OURS_S3] = bench.compute(store, bench.facets)
        _show(title, bodies, rates(ways, count=len(bodies), repeats=repeats))


def _show(title: str, bodies: list[bytes], seen: dict[str, float]) -> None:
    mean_kb = sum(map(len, bodies)) / len(bodies) / 1000
    lines = [f"\n{len(bodies)} photos {title}, {mean_kb:.0f} kB each", "| way | images/s |", "|---|---|"]
    lines += [f"| {name} | {rate:.1f} |" for name, rate in sorted(seen.items())]
    lines += ["", "| ratio | |", "|---|---|"]
    lines += [f"| {name} | {ratio:.2f} |" for name, ratio in _ratios(seen)]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _ratios(seen: dict[str, float]) -> Iterator[tuple[str, float]]:
    for ours, decode in ((OURS, DECODE), (OURS_S3, DECODE), (PIXELS_ONLY, DECODE_PIXELS)):
        if ours in seen:
            yield f"{ours} / slower of decode and forward", seen[ours] / min(seen[decode], seen[FORWARD])
            bound = 1 / (1 / seen[decode] + 1 / seen[FORWARD])
            yield f"{ours} / bound of stages that share the cores ({bound:.1f}/s)", seen[ours] / bound
    for ours in (OURS, PIXELS_ONLY):  # the peer computes no measures
        for peer in (EAGER, PEER_DECODE):
            yield f"{ours} / {peer}", seen[ours] / seen[peer]


if __name__ == "__main__":
    main()
