"""A folder of this machine as an object store."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from errno import EACCES, EISDIR, ELOOP, ENOENT, ENOTDIR, EPERM, EROFS
from io import BufferedReader
from pathlib import Path
from uuid import uuid4

from worker.errors import AccessDenied, ObjectChanged, ObjectMissing, StorageError, StoreMissing
from worker.storage.place import place
from worker.storage.store import ExpiryRule, ObjectInfo, Usage

_TEMPORARY = ".framesift-tmp-"

_Pending = list[tuple[str, tuple[tuple[int, int], ...]]]
"""Keys still to look at, each with the device and inode of the folders above it."""


class LocalStore:
    """Regular files below `root`, by their relative path with `/`.

    Symbolic links are followed, to files and to folders; a folder that is among its own ancestors is not entered
    again. Names that are not valid UTF-8 are not listed, but counted in `usage.unlisted`. The ETag is made of the
    time of the last change and the size, so two changes within one tick of the file system's clock (a few
    milliseconds) that keep the size look the same. A root that `may_be_absent` is empty until it is written to.
    """

    def __init__(self, root: Path, *, may_be_absent: bool = False) -> None:
        self._may_be_absent = may_be_absent
        self.root = root.absolute()
        self.url = f"{self.root}/".replace("//", "/")
        self.usage = Usage()

    @property
    def place(self) -> str:
        """The folder with symbolic links resolved."""
        return f"{os.path.realpath(self.root)}/".replace("//", "/")

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the files whose key starts with `prefix`; holds the names of the folders on one path in memory."""
        self.usage.add("LIST")
        if not self._has_root():
            return
        unlisted = 0
        pending: _Pending = [("", ())]  # the next one last; a folder's key ends with a slash
        while pending:
            key, ancestors = pending.pop()
            status = self._status(key)
            if status is None:
                continue  # gone since its folder was read, or a link that leads nowhere
            identity = (status.st_dev, status.st_ino)
            if not _is_folder_key(key) and stat.S_ISREG(status.st_mode):
                yield _info(key, status)
            elif _is_folder_key(key) and stat.S_ISDIR(status.st_mode) and identity not in ancestors:
                with suppress(ObjectMissing), self._errors(key):
                    children, skipped = _children(self.root, key, prefix)
                    unlisted += skipped
                    pending.extend((child, (*ancestors, identity)) for child in children)
        self.usage.unlisted = unlisted

    def expiry_rules(self) -> Sequence[ExpiryRule]:
        """Return nothing: no folder deletes its files by itself."""
        return ()

    def head(self, key: str) -> ObjectInfo | None:
        """Return the file's facts, or None where there is no regular file of that name."""
        self._path(key)
        self.usage.add("HEAD")
        status = self._status(key)
        return _info(key, status) if status is not None and stat.S_ISREG(status.st_mode) else None

    def get(self, key: str, *, etag: str | None = None, size: int | None = None) -> bytes:
        """Return the file's bytes; a file that changes while it is read is ObjectChanged, whatever was asked."""
        with self._opened(key, etag=etag, size=size) as (file, before):
            body = file.read(before.st_size + 1)
            self.usage.add_bytes(read=len(body))
            self._expect(key, os.fstat(file.fileno()), etag=_etag(before), size=len(body))
        return body

    def get_range(self, key: str, start: int, stop: int, *, etag: str, size: int) -> bytes:
        """Return a part of the file, which is the listed one before and after it is read."""
        with self._opened(key, etag=etag, size=size) as (file, _):
            file.seek(start)
            body = file.read(stop - start)
            self.usage.add_bytes(read=len(body))
            self._expect(key, os.fstat(file.fileno()), etag=etag, size=size)
        return body

    def put(self, key: str, body: bytes, *, media_type: str) -> None:
        """Write a temporary file beside the target, flush it to the disk, then rename it; makes folders as needed."""
        del media_type  # a file has none
        path = self._path(key)
        self.usage.add("PUT")
        temporary = path.parent / f"{_TEMPORARY}{uuid4().hex}"
        with self._errors(key, writing=True):
            _make_folders(path.parent)
            try:
                with temporary.open("xb") as file:
                    file.write(body)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            finally:
                with suppress(OSError):
                    temporary.unlink()
            _flush_folder(path.parent)
        self.usage.add_bytes(written=len(body))

    def delete(self, keys: Sequence[str]) -> None:
        """Unlink the files; folders stay, even when they end up empty."""
        for key in keys:
            path = self._path(key)
            self.usage.add("DELETE")
            with suppress(ObjectMissing, StoreMissing), self._errors(key):
                path.unlink()

    def _has_root(self) -> bool:
        status = self._status("")
        if status is None and self._may_be_absent:
            return False
        if status is None:
            raise StoreMissing(f"no such folder: {place(self.url)}")
        if not stat.S_ISDIR(status.st_mode):
            raise StorageError(f"not a folder: {place(self.url)}")
        return True

    def _status(self, key: str) -> os.stat_result | None:
        with suppress(ObjectMissing, StoreMissing), self._errors(key):
            return (self.root / key).stat()
        return None

    def _path(self, key: str) -> Path:
        """Return where a key is. Only plain names get here, so the text cannot lead out of the root."""
        segments = key.split("/")
        if not all(_is_segment(segment) for segment in segments):
            raise StorageError(
                f"{place(self.url, key)}: a folder cannot hold this key "
                "(empty, '.', '..', reserved or unencodable segment)"
            )
        return self.root.joinpath(*segments)

    @contextmanager
    def _opened(
        self, key: str, *, etag: str | None, size: int | None
    ) -> Iterator[tuple[BufferedReader, os.stat_result]]:
        """Open a regular file that is the listed one, as one request."""
        path = self._path(key)
        self.usage.add("GET")
        with self._errors(key), open(path, "rb", opener=_open_at_once) as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise ObjectMissing(f"{place(self.url, key)}: not a regular file")
            self._expect(key, before, etag=etag, size=size)
            yield file, before

    def _expect(self, key: str, status: os.stat_result, *, etag: str | None, size: int | None) -> None:
        if (etag is not None and etag != _etag(status)) or (size is not None and size != status.st_size):
            raise ObjectChanged(f"{place(self.url, key)}: the file is not the one that was listed")

    @contextmanager
    def _errors(self, key: str, *, writing: bool = False) -> Iterator[None]:
        """Turn what the operating system says into the error tree, with the place."""
        try:
            yield
        except OSError as error:
            text = f"{place(self.url, key)}: {error.strerror or error}"
            if error.errno in {EACCES, EPERM, EROFS}:
                raise AccessDenied(text) from error
            if error.errno in {ENOENT, ENOTDIR, EISDIR, ELOOP} and not writing:
                if not self.root.is_dir():
                    raise StoreMissing(f"no such folder: {place(self.url)}") from error
                raise ObjectMissing(f"no such object: {place(self.url, key)}") from error
            raise StorageError(text) from error


def _children(root: Path, folder: str, prefix: str) -> tuple[list[str], int]:
    """Return the keys in one folder that can matter to `prefix`, last first, and how many names are no UTF-8."""
    only, slash, _ = prefix[len(folder) :].partition("/")
    if slash:  # one name is possible, so a large folder is not read for it
        return ([f"{folder}{only}/"] if _is_segment(only) else []), 0
    children = []
    unlisted = 0
    with os.scandir(root / folder) as entries:
        for entry in entries:
            unlisted += not _is_text(entry.name)
            if _is_segment(entry.name):
                children.append(f"{folder}{entry.name}" + ("/" if _is_folder(entry) else ""))
    wanted = [child for child in children if child.startswith(prefix)]
    return sorted(wanted, key=str.encode, reverse=True), unlisted


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself; what the entry is shows when it is looked at
        return False


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    modified_at = datetime.fromtimestamp(status.st_mtime, tz=UTC)
    return ObjectInfo(key, etag=_etag(status), size=status.st_size, modified_at=modified_at)


def _etag(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"


def _is_folder_key(key: str) -> bool:
    return key == "" or key.endswith("/")


def _is_segment(name: str) -> bool:
    return (
        name not in {"", ".", ".."}
        and "\0" not in name
        and not name.startswith(_TEMPORARY)
        and _is_text(name)
    )


def _is_text(name: str) -> bool:
    """Return False where Python stands in for bytes that are not UTF-8."""
    return not any("\ud800" <= c <= "\udfff" for c in name)


def _open_at_once(path: str, flags: int) -> int:
    # Opening a named pipe must not wait for somebody at its other end.
    return os.open(path, flags | os.O_NONBLOCK)


def _make_folders(folder: Path) -> None:
    # Path.mkdir with parents recurses, and a key can have more levels than Python's stack.
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        path.mkdir(exist_ok=True)


def _flush_folder(folder: Path) -> None:
    # The rename itself is on the disk only after this.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
