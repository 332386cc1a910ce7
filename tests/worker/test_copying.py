"""Copies of the selected sources."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.photos import make_photos
from worker.copying import check_folder, copy_selected, safe_name
from worker.errors import JobRejected
from worker.events import Events
from worker.samples import Source
from worker.storage.local import LocalStore


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("a/b.jpg", "b.jpg"),
        ("../../etc/passwd", "passwd"),
        ("..", "unnamed"),
        ("a/", "unnamed"),
        ("x\n$(rm).jpg", "x___rm_.jpg"),
        (".hidden", "hidden"),
        ("ü" * 300 + ".jpg", "_" * 116 + ".jpg"),
    ],
)
def test_safe_name__is_one_harmless_part(key: str, name: str) -> None:
    assert safe_name(key) == name


def test_copy_selected__numbers_by_pick_and_reports_what_changed(tmp_path: Path) -> None:
    keys = make_photos(tmp_path / "in", 2, prefix="day/")
    store = LocalStore(tmp_path / "in")
    sources = {info.key: Source(info.key, info.etag, info.size) for info in store.list()}
    (tmp_path / "in" / keys[0]).write_bytes(b"something else")
    events = Events()
    check_folder(tmp_path / "out", source=store)
    outcome = SimpleNamespace(selected=(keys[1], keys[0]), sources=sources, frames={})
    copied = copy_selected(outcome, SimpleNamespace(source=store), folder=tmp_path / "out", events=events)
    assert copied == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["1_00001.jpg"]
    assert b"not_copied" in events.log()


def test_check_folder__refuses_a_file_and_the_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "in").mkdir()
    store = LocalStore(tmp_path / "in")
    for folder, says in (
        ("file", "cannot write"),
        ("file/x", "cannot write"),
        ("in/picks", "inside the input"),
    ):
        with pytest.raises(JobRejected, match=rf"--copy-selected: .*{says}"):
            check_folder(tmp_path / folder, source=store)
