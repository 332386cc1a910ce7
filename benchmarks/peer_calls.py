"""One call of one library on one array, measured from inside: python -m benchmarks.peer_calls NAME X.npy PICKS.

Runs in the peers' environment (see `benchmarks.peer_environment`) or in ours; each function imports what it needs.
Writes one line of JSON: seconds and rows of the call, and how far memory rose above that before it, in bytes. A
call on 200 rows goes first, since libraries compile, start threads and load on first use.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

Call = Callable[[Any, int], Any]


def main() -> None:
    """Measure the call that the command line names."""
    name, path, picks = sys.argv[1:]
    x = np.load(path)
    call = CALLS[name]
    call(np.ascontiguousarray(x[:200]), 5)
    before = _start_of_peak()
    start = time.perf_counter()
    rows = call(x, int(picks))
    seconds = time.perf_counter() - start
    rose = _status_bytes("VmHWM") - before
    found = {"seconds": seconds, "rows": np.asarray(rows).tolist(), "peak_bytes": rose}
    sys.stdout.write(f"\n{json.dumps(found)}\n")


def ours_diversity(x: Any, picks: int) -> Any:
    """Return rows of an exact farthest-first traversal."""
    from worker.device import choose_device
    from worker.selection.engine import select
    from worker.selection.pool import Pool
    from worker.selection.terms import Diversity

    pool = Pool(x, np.ones(len(x), np.bool_))
    return select(pool, [Diversity()], picks, device=choose_device("cpu")).rows


def ours_submodular(x: Any, picks: int) -> Any:
    """Return rows by facility location."""
    from worker.device import choose_device
    from worker.selection.engine import select
    from worker.selection.pool import Pool
    from worker.selection.terms import Diversity

    pool = Pool(x, np.ones(len(x), np.bool_))
    return select(pool, [Diversity()], picks, device=choose_device("cpu"), mode="submodular").rows


def mundig(x: Any, picks: int) -> Any:
    """Return rows of lightly-mundig's diversity."""
    import lightly_mundig

    selection = lightly_mundig.Selection()
    selection.add_diversifying_strategy(embeddings=x, strength=1.0)
    return selection.run_selection(preselected_indices=[], n_total_samples=len(x), n_samples_to_select=picks)


def skmatter_fps(x: Any, picks: int) -> Any:
    """Return rows of skmatter's farthest point sampling."""
    from skmatter.sample_selection import FPS

    return FPS(n_to_select=picks, initialize=0).fit(x).selected_idx_


def skmatter_voronoi(x: Any, picks: int) -> Any:
    """Return rows of skmatter's farthest point sampling that skips by the triangle inequality."""
    from skmatter.sample_selection import VoronoiFPS

    return VoronoiFPS(n_to_select=picks, initialize=0).fit(x).selected_idx_


def fpsample(x: Any, picks: int) -> Any:
    """Return rows of the plain loop of fpsample, which is written in Rust."""
    import fpsample

    return fpsample.fps_sampling(x, picks, start_idx=0)


def core_set(x: Any, picks: int) -> Any:
    """Return rows of scikit-activeml's CoreSet, which starts at random and holds picks x n float64."""
    from skactiveml.pool import CoreSet

    return CoreSet(random_state=0).query(x, np.full(len(x), np.nan), batch_size=picks)


def typiclust(x: Any, picks: int, *, seed: int) -> Any:
    """Return rows of scikit-activeml's TypiClust with 20 neighbours, as published; its k-means starts at random."""
    from skactiveml.pool import TypiClust

    return TypiClust(random_state=seed, k=20).query(x, np.full(len(x), np.nan), batch_size=picks)


def prob_cover(x: Any, picks: int) -> Any:
    """Return rows of scikit-activeml's ProbCover with balls of radius 1.3, which suits the digits."""
    from skactiveml.pool import ProbCover

    query = ProbCover(n_classes=10, deltas=[1.3], random_state=0)
    return query.query(x, np.full(len(x), np.nan), batch_size=picks)


def apricot(x: Any, picks: int) -> Any:
    """Return rows of apricot's lazy facility location over our similarities, which are n x n."""
    from apricot import FacilityLocationSelection
    from sklearn.metrics import pairwise_distances

    distances = pairwise_distances(x.astype(np.float64))
    similarities = 1 - distances / distances.max()
    return FacilityLocationSelection(picks, metric="precomputed", optimizer="lazy").fit(similarities).ranking


def apricot_squares(x: Any, picks: int) -> Any:
    """Return rows of apricot's lazy facility location with its metric "euclidean", which squares distances."""
    from apricot import FacilityLocationSelection

    return FacilityLocationSelection(picks, metric="euclidean", optimizer="lazy").fit(x).ranking


CALLS: dict[str, Call] = {
    "ours": ours_diversity,
    "ours, submodular": ours_submodular,
    "lightly-mundig": mundig,
    "skmatter FPS": skmatter_fps,
    "skmatter VoronoiFPS": skmatter_voronoi,
    "fpsample": fpsample,
    "scikit-activeml CoreSet": core_set,
    **{f"TypiClust {seed}": partial(typiclust, seed=seed) for seed in range(5)},
    "ProbCover 1.3": prob_cover,
    "apricot": apricot,
    "apricot, squares": apricot_squares,
}


def _start_of_peak() -> int:
    """Make Linux measure this process's peak from here on, and return what it holds now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _status_bytes("VmRSS")


def _status_bytes(key: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"/proc/self/status has no {key}; this benchmark needs Linux")


if __name__ == "__main__":
    main()
