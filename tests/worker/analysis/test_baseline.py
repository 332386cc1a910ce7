import numpy as np
import pytest

from worker.analysis.baseline import draw
from worker.device import Device
from worker.selection.rules import Windows

CPU = Device("cpu", "CPU, 1 thread", 1)
EMBEDDINGS = np.random.default_rng(3).normal(size=(40, 3)).astype(np.float32)


@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("size", [4, 20, 36])
def test_draw__of_sequences_takes_whole_ones_without_a_common_row(stride: int, size: int) -> None:
    windows = Windows(np.arange(1, 34, stride), 4)
    found = draw(
        EMBEDDINGS,
        size=size,
        candidates=np.arange(1, 37),
        windows=windows,
        inputs=np.arange(40),
        preselected=np.empty(0, np.int64),
        seed=5,
        device=CPU,
    )
    assert len(found.rows) == 100
    for rows in found.rows:
        assert len(set(rows.tolist())) == size
        sequences = rows.reshape(-1, 4)
        assert (np.diff(sequences, axis=1) == 1).all()
        assert np.isin(sequences[:, 0], windows.starts).all()
    if size == 4:
        assert len({int(rows[0]) for rows in found.rows}) > len(windows.starts) / 2
