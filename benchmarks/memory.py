"""Time, blocks and peak memory of one diversity selection, beside what `worker/selection/memory.py` says it needs.

python -m benchmarks.memory [rows] [dimension] [picks] [--mapped FOLDER] [--mix]

`--mapped` keeps the embeddings in a file there, as a memory map; `--mix` puts weights beside diversity. Peaks are of
anonymous memory, which the system cannot give away; the pages of a mapped file can go at any time.
"""

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_WRITTEN_ROWS = 2**17


def main() -> None:
    """Measure in a fresh process and print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=int, nargs="?", default=1_000_000)
    parser.add_argument("dimension", type=int, nargs="?", default=32)
    parser.add_argument("picks", type=int, nargs="?", default=1000)
    parser.add_argument("--mapped", type=Path)
    parser.add_argument("--mix", action="store_true")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not given.inside:
        subprocess.run([sys.executable, "-m", "benchmarks.memory", "--inside", *sys.argv[1:]], check=True)
        return
    embeddings = _made(given.rows, given.dimension, folder=given.mapped)
    try:
        _measure(embeddings, given.picks, is_mix=given.mix)
    finally:
        if given.mapped:
            Path(embeddings.filename).unlink()


def _measure(embeddings: NDArray[np.float32], k: int, *, is_mix: bool) -> None:
    from worker.device import choose_device
    from worker.selection import engine
    from worker.selection.memory import required_bytes, total
    from worker.selection.pool import Pool
    from worker.selection.terms import Diversity, Weights

    device = choose_device("cpu")
    blocks: list[int] = []
    traverse = engine.farthest_first

    def counted(*args: Any, **options: Any) -> Any:
        found = traverse(*args, **options)
        blocks.append(found.passes)
        return found

    engine.farthest_first = counted
    few = np.array(embeddings[:2000])
    rng = np.random.default_rng(1)
    way = "look_ahead" if is_mix else "diversity"

    def run(vectors: NDArray[np.float32], picks: int) -> str:
        pool = Pool(vectors, np.ones(len(vectors), np.bool_))
        terms = [Diversity(), Weights(rng.random(len(vectors)))] if is_mix else [Diversity()]
        found = engine.select(pool, terms, picks, device=device)
        return f"{len(found.rows)} picks" + ("" if is_mix else f" in {blocks[-1]} blocks")

    run(few, 10)  # libraries make their threads and buffers on first use
    start = time.perf_counter()
    with _peak() as peak:
        said = run(embeddings, k)
    seconds = time.perf_counter() - start
    n, d = embeddings.shape
    above = peak[-1] - peak[0]
    stated = total(required_bytes(n, d, k, way=way, device=device, is_mapped=True))
    held = 0 if isinstance(embeddings, np.memmap) else embeddings.nbytes
    sys.stdout.write(
        f"{n} x {d}{'' if held else ' mapped'}, {way}: {said}, {seconds:.1f} s;"
        f" peak {above / 2**20:.0f} MiB beside {embeddings.nbytes / 2**20:.0f} MiB of embeddings"
        f" ({(held + above) / embeddings.nbytes:.2f} x altogether); stated {stated / 2**20:.0f} MiB\n"
    )


def _made(n: int, d: int, *, folder: Path | None) -> NDArray[np.float32]:
    """Return normal numbers, the same wherever they are kept; a file is written piece by piece."""
    rng = np.random.default_rng(0)
    x: NDArray[np.float32]
    if folder is None:
        x = np.empty((n, d), np.float32)
    else:
        x = np.memmap(folder / f"embeddings-{n}-{d}.f32", np.float32, "w+", shape=(n, d))
    for start in range(0, n, _WRITTEN_ROWS):
        part = x[start : start + _WRITTEN_ROWS]
        part[:] = rng.standard_normal(part.shape, dtype=np.float32)
    if isinstance(x, np.memmap):
        x.flush()
        return np.memmap(x.filename, np.float32, "r", shape=(n, d))
    return x


@contextmanager
def _peak() -> Iterator[list[int]]:
    """Yield a list that holds the anonymous bytes before and, at the end, the most there were."""
    found = [_anonymous_bytes()]
    ended = threading.Event()

    def watch() -> None:
        most = found[0]
        while not ended.wait(0.005):
            most = max(most, _anonymous_bytes())
        found.append(most)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        ended.set()
        watcher.join()


def _anonymous_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024


if __name__ == "__main__":
    main()
