import hashlib
import os
from pathlib import Path

import pytest

from worker.models.file_digest import file_sha256


def test_file_sha256__follows_changes(tmp_path: Path) -> None:
    path = tmp_path / "f"
    for body in (b"one", b"two"):
        path.write_bytes(body)
        os.utime(path, ns=(0, len(body) + body[0]))
        assert file_sha256(path) == hashlib.sha256(body).hexdigest()


def test_file_sha256__reads_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"one")
    first = file_sha256(path)
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("read again"))
    assert file_sha256(path) == first


def test_file_sha256__no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        file_sha256(tmp_path / "f")
