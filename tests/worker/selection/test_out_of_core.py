"""Selections from a memory map that is larger than the memory that may be used."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[3]
ROWS, DIMENSION = 200_000, 256
ALLOWED_BYTES = 96 * 2**20

SELECT = """
import json, resource, sys
from pathlib import Path
import numpy as np
import torch
from worker.device import choose_device
from worker.selection.engine import covering_radius, select
from worker.selection.pool import Pool
from worker.selection.terms import Diversity, Weights

path, n, d, allowed = sys.argv[1], *map(int, sys.argv[2:])
torch.set_num_threads(1)
device = choose_device("cpu")
weights = np.random.default_rng(1).random(n)
mapped = np.memmap(path, np.float32, "r", shape=(n, d))

def run(x, way):
    pool = Pool(x, np.ones(len(x), np.bool_))
    if way == "diversity":
        found = select(pool, [Diversity()], 40, device=device)
        return [found.rows.tolist(), found.insertion_distances.tolist(),
                covering_radius(pool, found.rows, device=device)]
    return [select(pool, [Diversity(), Weights(weights[: len(x)])], 20, device=device).rows.tolist()]

ways = ["diversity", "mix"]
for way in ways:
    run(np.array(mapped[:2000]), way)
_, hard = resource.getrlimit(resource.RLIMIT_DATA)
used = int(Path("/proc/self/status").read_text().partition("VmData:")[2].split()[0]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + allowed, hard))
refused = False
try:
    np.array(mapped)
except MemoryError:
    refused = True
outside = [run(mapped, way) for way in ways]
resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
held = np.array(mapped)
print(json.dumps({"refused": refused, "outside": outside, "inside": [run(held, way) for way in ways]}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="limits memory as Linux does")
def test_select__from_a_map_that_memory_could_not_hold(tmp_path):
    path = tmp_path / "embeddings.f32"
    piece = np.random.default_rng(0).standard_normal((10_000, DIMENSION), dtype=np.float32)
    with path.open("wb") as file:
        for number in range(ROWS // len(piece)):
            file.write((piece * np.float32(1 + number / 100)).tobytes())
    assert path.stat().st_size > 2 * ALLOWED_BYTES
    done = subprocess.run(
        [sys.executable, "-c", SELECT, str(path), str(ROWS), str(DIMENSION), str(ALLOWED_BYTES)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["refused"]
    assert found["outside"] == found["inside"]
    assert len(set(found["inside"][0][0])) == 40
    assert len(set(found["inside"][1][0])) == 20
