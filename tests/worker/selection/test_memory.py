import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from worker.device import Device
from worker.selection.memory import Part, refuse_if_too_large, required_bytes, total, way_of
from worker.selection.terms import Balance, Diversity, Weights

ROOT = Path(__file__).parents[3]
ONES = np.ones(3)
ONE = Device("cpu", "one thread", 1)

MEASURE = """
import json, sys, threading, time
from pathlib import Path
import numpy as np
import torch
from worker.device import choose_device
from worker.selection.engine import select
from worker.selection.pool import Pool
from worker.selection.terms import Diversity, Weights

torch.set_num_threads(1)

def anonymous():
    return int(Path("/proc/self/status").read_text().partition("RssAnon:")[2].split()[0]) * 1024

def run(way, n, d, k, tile_bytes):
    rng = np.random.default_rng(0)
    pool = Pool(rng.standard_normal((n, d), dtype=np.float32), np.ones(n, np.bool_))
    weights = rng.random(n)
    terms = {"diversity": [Diversity()], "weights": [Weights(weights)], "look_ahead": [Diversity(), Weights(weights)]}
    before = most = anonymous()
    done = threading.Event()
    def watch():
        nonlocal most
        while not done.wait(0.002):
            most = max(most, anonymous())
    watcher = threading.Thread(target=watch)
    watcher.start()
    select(pool, terms[way], k, device=choose_device("cpu"), tile_bytes=tile_bytes)
    done.set()
    watcher.join()
    return most - before

given = json.loads(sys.argv[1])
for one in given:
    run(one[0], 1000, *one[2:])
# a peak can fall between two looks of the watcher, so the highest of some runs counts
print(json.dumps([max(run(*one) for _ in range(5)) for one in given]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measures as Linux does")
def test_required_bytes__is_what_is_measured():
    tile_bytes = 2**20
    rows = {"diversity": 500_000, "weights": 300_000, "look_ahead": 200_000}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, json.dumps([[way, n, 4, 10, tile_bytes] for way, n in rows.items()])],
        cwd=ROOT,
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"},  # what is freed is given back at once
        check=True,
        capture_output=True,
        text=True,
    )
    for (way, n), measured in zip(rows.items(), json.loads(done.stdout), strict=True):
        stated = total(required_bytes(n, 4, 10, way=way, device=ONE, is_mapped=True, tile_bytes=tile_bytes))
        assert 0.7 * measured <= stated <= 2 * measured, (way, measured, stated)  # a look may miss the peak


def parts_of(**given):
    return {part.name: part.bytes for part in required_bytes(1000, 8, 10, device=ONE, **given)}


def test_required_bytes__by_hand():
    assert parts_of(way="diversity", tile_bytes=2**20) == {
        "embeddings": 32_000,
        "state": 92_000,
        "block": 20 * 8 * 1024 + 3 * 2**20,
        "tile": 2**20,
        "centres": 320,
    }
    more = parts_of(way="plain", candidates=100, quotas=2, classes=3, is_grouped=True, is_mapped=True)
    assert more["quotas"] == 2 * 24 * 100
    assert more["classes"] == 3 * 16 * 100
    assert more["groups"] == 72_000
    assert "embeddings" not in more


def test_required_bytes__a_submodular_table_keeps_to_its_limit():
    assert parts_of(way="submodular")["table"] == 4 * 1000**2 + 8 * 1000 * 8
    assert parts_of(way="submodular", table_bytes=2**20)["table"] == 2**20


@pytest.mark.parametrize(
    ("terms", "mode", "way"),
    [
        ([Diversity()], "objective_product", "diversity"),
        ([Diversity(strength=-1.0)], "objective_product", "plain"),
        ([Weights(ONES)], "gain_product", "weights"),
        ([Weights(ONES, target=(1.0, 2.0))], "objective_product", "plain"),
        ([Diversity(), Weights(ONES)], "objective_product", "look_ahead"),
        ([Balance(np.eye(3), ONES / 3)], "objective_product", "plain"),
        ([Diversity()], "submodular", "submodular"),
    ],
)
def test_way_of__is_the_engines(terms, mode, way):
    assert way_of(terms, mode) == way


def test_refuse_if_too_large__says_formula_and_numbers():
    parts = required_bytes(10_000_000, 128, 1000, way="diversity", device=ONE)
    refuse_if_too_large(parts, total(parts))
    with pytest.raises(ValueError, match=r"memory: .*needs 5\.\d+ GiB, and 4\.00 GiB may be used") as refused:
        refuse_if_too_large(parts, 2**32)
    assert "embeddings 4 * rows * dimension = 4.77 GiB" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_refuse_if_too_large__nothing_needs_nothing():
    refuse_if_too_large([Part("state", "0", 0)], 0)


def test_required_bytes__a_tile_is_no_larger_than_caches_are():
    assert parts_of(way="diversity", tile_bytes=2**23)["tile"] == 3 * 2**19
    gpu = required_bytes(1000, 8, 10, way="diversity", device=Device("cuda:0", "GPU", 8))
    assert {part.name: part.bytes for part in gpu}["tile"] == 2**23
