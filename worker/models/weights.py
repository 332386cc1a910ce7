"""Fetches model weights that a job names, checks their digest and keeps a copy."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from worker.errors import JobRejected, ObjectMissing, StorageError
from worker.settings import Settings
from worker.storage.connect import open_bucket
from worker.storage.place import place

_MAX_BYTES = 8 * 2**30
_PIECE_BYTES = 2**20


class LocalWeightFiles:
    """Weights from a bucket (the default connection) or from one of the machine's `weights_dirs`.

    A copy is kept in `<cache_dir>/weights/<sha256>`; its digest is checked again each time.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.cache_dir / "weights"

    def fetch(self, url: str, *, sha256: str) -> Path:
        """Return the path of a local copy whose SHA-256 is `sha256` (64 hexadecimal digits).

        Raises:
            JobRejected: a wrong URL, a folder that is not allowed, another digest, or more than 8 GiB.
            StorageError: the file cannot be read, or the copy not written.
        """
        digest = sha256.lower()
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise JobRejected(f"sha256: should be 64 hexadecimal digits (got {sha256[:80]!r})")
        pieces = self._pieces(url)
        target = self._folder / digest
        if _digest(target) != digest:
            self._keep(pieces, target, url=url)
        return target

    def _pieces(self, url: str) -> Iterator[bytes]:
        """Return the bytes, not read yet, of a place that the job may name."""
        if url.startswith("s3://"):
            bucket, slash, key = url.removeprefix("s3://").partition("/")
            if not bucket or not slash or not key:
                raise JobRejected(f"weights: should be s3://bucket/key (got {url!r})")
            return self._object_pieces(bucket, key)
        if "://" in url or "\0" in url:
            raise JobRejected(f"weights: should be s3://bucket/key or a local path (got {url!r})")
        return _file_pieces(self._allowed(url))

    def _allowed(self, url: str) -> Path:
        path = Path(url).resolve()
        folders = [folder.expanduser().resolve() for folder in self._settings.weights_dirs]
        if not any(path.is_relative_to(folder) for folder in folders):
            choices = ", ".join(map(str, folders)) or "none is set"
            raise JobRejected(
                f"weights: {url!r} is not in a folder that this machine allows; "
                f"choose from FRAMESIFT_WEIGHTS_DIRS: {choices}"
            )
        return path

    def _object_pieces(self, bucket: str, key: str) -> Iterator[bytes]:
        store = open_bucket(bucket, "", connection=None, settings=self._settings)
        info = store.head(key)
        if info is None:
            raise ObjectMissing(f"no such object: {place(store.url, key)}")
        yield from store.parts(key, etag=info.etag, size=_capped(info.size))

    def _keep(self, pieces: Iterable[bytes], target: Path, *, url: str) -> None:
        """Write the pieces to `target`, which is there whole and with the right digest or not at all."""
        temporary = target.with_name(f".{uuid4().hex}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            found = _write(pieces, temporary)
            if found != target.name:
                raise JobRejected(f"weights: {url!r} has the SHA-256 {found}, not {target.name}")
            temporary.replace(target)
        except OSError as error:
            raise StorageError(f"weights: {error.filename or target}: {error.strerror}") from error
        finally:
            with suppress(OSError):
                temporary.unlink()


def _write(pieces: Iterable[bytes], path: Path) -> str:
    """Write the pieces to a new file and return their SHA-256."""
    digest = hashlib.sha256()
    written = 0
    with path.open("xb") as file:
        for piece in pieces:
            written = _capped(written + len(piece))
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def _file_pieces(path: Path) -> Iterator[bytes]:
    if not path.is_file():
        raise ObjectMissing(f"weights: no such file: {place(str(path))}")
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _digest(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:  # not there, or of no use
        return None


def _capped(size_bytes: int) -> int:
    if size_bytes > _MAX_BYTES:
        raise JobRejected(f"weights: more than {_MAX_BYTES} bytes")
    return size_bytes
