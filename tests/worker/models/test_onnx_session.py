from pathlib import Path

import pytest

from worker.models.onnx_session import kept_graph


def test_kept_graph__makes_it_once(tmp_path: Path) -> None:
    path = tmp_path / "onnx" / "a.onnx"
    assert kept_graph(path, lambda: b"graph") == b"graph"
    assert kept_graph(path, lambda: pytest.fail("made again")) == b"graph"
    assert [found.name for found in path.parent.iterdir()] == ["a.onnx"]


def test_kept_graph__does_without_a_folder(tmp_path: Path) -> None:
    (tmp_path / "onnx").write_text("a file where the folder should be")
    assert kept_graph(tmp_path / "onnx" / "a.onnx", lambda: b"graph") == b"graph"
