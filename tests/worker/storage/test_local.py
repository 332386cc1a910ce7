import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from worker.errors import AccessDenied, ObjectChanged, ObjectMissing, StorageError, StoreMissing
from worker.storage import local
from worker.storage.local import LocalStore


def test_list__a_folder_sorts_as_its_keys_do(tmp_path: Path) -> None:
    for name in ["a/b", "a-b", "a.b", "a0"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [found.key for found in LocalStore(tmp_path).list()] == ["a-b", "a.b", "a/b", "a0"]


@pytest.mark.parametrize(
    "key", ["", ".", "..", "../x", "a/../b", "/etc/passwd", "a//b", "a/", "a\0b", ".framesift-tmp-1"]
)
def test_keys__that_no_folder_can_hold_are_refused(tmp_path: Path, key: str) -> None:
    store = LocalStore(tmp_path / "root")
    (tmp_path / "x").write_bytes(b"outside")
    for attempt in (
        lambda: store.get(key),
        lambda: store.head(key),
        lambda: store.put(key, b"", media_type="text/plain"),
        lambda: store.delete([key]),
    ):
        with pytest.raises(StorageError, match="a folder cannot hold this key"):
            attempt()
    assert (tmp_path / "x").read_bytes() == b"outside"


@pytest.mark.parametrize("prefix", ["..", "../", "../x", "./", "/", "a/../", "\0/"])
def test_list__a_prefix_is_not_resolved(tmp_path: Path, prefix: str) -> None:
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "root" / "a" / "b").touch()
    (tmp_path / "x").touch()
    assert list(LocalStore(tmp_path / "root").list(prefix)) == []


def test_list__links_are_followed_but_not_round(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "a" / "file").touch()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "far").touch()
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "self").symlink_to(root / "a" / "self")
    (root / "dangling").symlink_to(tmp_path / "nowhere")
    (root / "linked").symlink_to(tmp_path / "outside")
    store = LocalStore(root)
    assert [found.key for found in store.list()] == ["a/file", "linked/far"]
    assert list(store.list("a/up/")) == []
    assert [found.key for found in store.list("linked/")] == ["linked/far"]


def test_list__skips_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    store = LocalStore(tmp_path)
    assert [found.key for found in store.list()] == ["file"]
    assert store.head("pipe") is None
    with pytest.raises(ObjectMissing, match="not a regular file"):
        store.get("pipe")


def test_list__counts_names_that_are_not_utf8(tmp_path: Path) -> None:
    for name in (b"bad\xff", b"also\xfe"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).touch()
    (tmp_path / "good").touch()
    store = LocalStore(tmp_path)
    assert [found.key for found in store.list()] == ["good"]
    assert store.usage.unlisted == 2


def test_list__a_tree_deeper_than_the_recursion_limit(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    key = "d/" * 1200 + "file"
    store.put(key, b"deep", media_type="text/plain")
    try:
        assert [found.key for found in store.list()] == [key]
    finally:  # pytest's own cleaning recurses, so it would fail
        store.delete([key])
        for folder in list((tmp_path / key).parents)[:1200]:
            folder.rmdir()


def test_list__a_missing_root(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing, match=r"no such folder: .*/nowhere/"):
        list(LocalStore(tmp_path / "nowhere").list())


def test_list__a_root_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"not a folder: .*/file/"):
        list(LocalStore(tmp_path / "file").list())


def test_list__temporary_files_are_not_there(tmp_path: Path) -> None:
    (tmp_path / ".framesift-tmp-0123").touch()
    assert list(LocalStore(tmp_path).list()) == []


def test_get__a_folder_is_no_object(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    store = LocalStore(tmp_path)
    with pytest.raises(ObjectMissing, match=r"no such object: .*folder"):
        store.get("folder")
    with pytest.raises(ObjectMissing):
        store.get("folder/deeper/still")
    assert store.head("folder") is None
    store.delete(["folder"])
    assert (tmp_path / "folder").is_dir()


def test_get__a_file_that_changes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"before")
    store = LocalStore(tmp_path)
    (planned,) = store.list()
    status_of = os.fstat

    def fstat_then_append(descriptor: int) -> os.stat_result:
        status = status_of(descriptor)
        with (tmp_path / "file").open("ab") as file:
            file.write(b"more")
        return status

    monkeypatch.setattr(local.os, "fstat", fstat_then_append)
    with pytest.raises(ObjectChanged, match="file"):
        store.get("file", etag=planned.etag, size=planned.size)


def test_put__leaves_nothing_else(tmp_path: Path) -> None:
    LocalStore(tmp_path).put("a/b", b"x", media_type="text/plain")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b"]


def test_put__below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"file/below: (Not a directory|File exists)"):
        LocalStore(tmp_path).put("file/below", b"", media_type="text/plain")


def test_put__onto_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="folder: Is a directory"):
        LocalStore(tmp_path).put("folder", b"", media_type="text/plain")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_put__a_name_too_long_for_the_disk(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="File name too long"):
        LocalStore(tmp_path).put("x" * 300, b"", media_type="text/plain")
    assert list(tmp_path.iterdir()) == []


def test_put__no_rights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Root may write anywhere, so the system's answer is made up.
    def refuse(self: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(AccessDenied, match="key: Permission denied"):
        LocalStore(tmp_path).put("key", b"", media_type="text/plain")


def test_put__where_nobody_may_write() -> None:
    with pytest.raises(StorageError, match=r"^/proc/framesift/key: "):
        LocalStore(Path("/proc/framesift")).put("key", b"", media_type="text/plain")


def test_put__a_disk_that_is_full(tmp_path: Path) -> None:
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from worker.errors import StorageError; from worker.storage.local import LocalStore\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "store = LocalStore(Path(sys.argv[1]))\n"
        "store.put('key', b'old', media_type='text/plain')\n"
        "try: store.put('key', bytes(5000), media_type='text/plain')\n"
        "except StorageError as error: sys.stderr.write(str(error))\n"
    )
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True
    )
    assert done.stderr == f"{tmp_path}/key: File too large"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert (tmp_path / "key").read_bytes() == b"old"
