"""Peak memory of one diversity selection above that of the process just before it.

python -m benchmarks.memory [rows] [dimension] [picks]
"""

import resource
import subprocess
import sys
import time

import numpy as np


def main() -> None:
    """Measure in a fresh process and print one line."""
    if sys.argv[1:2] == ["--inside"]:
        _measure(*map(int, sys.argv[2:]))
        return
    sizes = [*sys.argv[1:], *("1000000", "32", "1000")[len(sys.argv) - 1 :]]
    subprocess.run([sys.executable, "-m", "benchmarks.memory", "--inside", *sizes], check=True)


def _measure(n: int, d: int, k: int) -> None:
    from worker.device import choose_device
    from worker.selection.engine import select
    from worker.selection.objectives import Diversity
    from worker.selection.pool import Pool

    device = choose_device("cpu")
    rng = np.random.default_rng(0)
    select(
        Pool(rng.standard_normal((2000, d), dtype=np.float32), np.ones(2000, np.bool_)),
        [Diversity()],
        10,
        device=device,
    )  # libraries make their threads and buffers on first use
    pool = Pool(rng.standard_normal((n, d), dtype=np.float32), np.ones(n, np.bool_))
    before = _peak_bytes()
    start = time.perf_counter()
    found = select(pool, [Diversity()], k, device=device)
    seconds = time.perf_counter() - start
    above = _peak_bytes() - before
    embeddings = pool.embeddings.nbytes
    sys.stdout.write(
        f"{n} x {d} -> {len(found.rows)}: {seconds:.1f} s, peak {above / 2**20:.0f} MiB above"
        f" the {before / 2**20:.0f} MiB before, which hold {embeddings / 2**20:.0f} MiB of embeddings"
        f" ({above / embeddings:.2f} x)\n"
    )


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
