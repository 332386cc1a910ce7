import hashlib
from pathlib import Path

import pytest

from tests.servers import S3Server
from worker.errors import JobRejected, ObjectMissing, StorageError
from worker.models import weights
from worker.models.weights import LocalWeightFiles
from worker.settings import Settings
from worker.storage.connect import open_bucket

BODY = b"weights" * 1000
DIGEST = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model.onnx").write_bytes(BODY)
    return Settings(cache_dir=tmp_path / "cache", weights_dirs=[tmp_path / "models"])


def test_fetch__a_local_file(settings: Settings, tmp_path: Path) -> None:
    path = LocalWeightFiles(settings).fetch(f"{tmp_path}/models/model.onnx", sha256=DIGEST.upper())
    assert path == tmp_path / "cache" / "weights" / DIGEST
    assert path.read_bytes() == BODY
    assert list(path.parent.iterdir()) == [path]


def test_fetch__a_bucket(settings: Settings, nanio: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in nanio.environment().items():
        monkeypatch.setenv(name, value)
    bucket = nanio.make_bucket("weights")
    store = open_bucket(bucket, "", connection=None, settings=settings)
    store.put("a/model.onnx", BODY, media_type="application/octet-stream")
    assert LocalWeightFiles(settings).fetch(f"s3://{bucket}/a/model.onnx", sha256=DIGEST).read_bytes() == BODY
    with pytest.raises(ObjectMissing, match="no such object: s3://weights/none"):
        LocalWeightFiles(settings).fetch(f"s3://{bucket}/none", sha256="0" * 64)


def test_fetch__the_copy_serves_when_the_file_is_gone(settings: Settings, tmp_path: Path) -> None:
    files = LocalWeightFiles(settings)
    files.fetch(f"{tmp_path}/models/model.onnx", sha256=DIGEST)
    (tmp_path / "models" / "model.onnx").unlink()
    assert files.fetch(f"{tmp_path}/models/model.onnx", sha256=DIGEST).read_bytes() == BODY


def test_fetch__a_damaged_copy_is_replaced(settings: Settings, tmp_path: Path) -> None:
    files = LocalWeightFiles(settings)
    path = files.fetch(f"{tmp_path}/models/model.onnx", sha256=DIGEST)
    path.write_bytes(b"damaged")
    assert files.fetch(f"{tmp_path}/models/model.onnx", sha256=DIGEST).read_bytes() == BODY


def test_fetch__another_digest(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(JobRejected, match=f"has the SHA-256 {DIGEST}, not 0000"):
        LocalWeightFiles(settings).fetch(f"{tmp_path}/models/model.onnx", sha256="0" * 64)
    assert list((tmp_path / "cache" / "weights").iterdir()) == []


@pytest.mark.parametrize(
    "url", ["{}/other", "{}/models/../other", "{}/models/link", "{}/models-too/x", "/etc/passwd"]
)
def test_fetch__outside_the_allowed_folders(settings: Settings, tmp_path: Path, url: str) -> None:
    (tmp_path / "other").write_bytes(BODY)
    (tmp_path / "models" / "link").symlink_to(tmp_path / "other")
    with pytest.raises(JobRejected, match=r"choose from FRAMESIFT_WEIGHTS_DIRS: .*/models"):
        LocalWeightFiles(settings).fetch(url.format(tmp_path), sha256=DIGEST)


def test_fetch__no_folder_is_allowed_by_default(settings: Settings, tmp_path: Path) -> None:
    none = settings.model_copy(update={"weights_dirs": []})
    with pytest.raises(JobRejected, match="FRAMESIFT_WEIGHTS_DIRS: none is set"):
        LocalWeightFiles(none).fetch(f"{tmp_path}/models/model.onnx", sha256=DIGEST)


@pytest.mark.parametrize(
    "url", ["https://example.org/m", "file:///etc/passwd", "s3://bucket", "s3://bucket/", "s3:///k", "a\0b"]
)
def test_fetch__a_wrong_url(settings: Settings, url: str) -> None:
    with pytest.raises(JobRejected, match="should be s3://bucket/key"):
        LocalWeightFiles(settings).fetch(url, sha256=DIGEST)


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "0" * 63, "g" * 64])
def test_fetch__a_wrong_digest(settings: Settings, tmp_path: Path, digest: str) -> None:
    with pytest.raises(JobRejected, match="sha256: should be 64 hexadecimal digits"):
        LocalWeightFiles(settings).fetch(f"{tmp_path}/models/model.onnx", sha256=digest)


def test_fetch__too_large(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_MAX_BYTES", 1000)
    with pytest.raises(JobRejected, match="more than 1000 bytes"):
        LocalWeightFiles(settings).fetch(f"{tmp_path}/models/model.onnx", sha256=DIGEST)
    assert list((tmp_path / "cache" / "weights").iterdir()) == []


def test_fetch__a_missing_file(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ObjectMissing, match="no such file"):
        LocalWeightFiles(settings).fetch(f"{tmp_path}/models/none", sha256=DIGEST)


def test_fetch__a_cache_that_cannot_be_written(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file")
    with pytest.raises(StorageError, match=r"weights: .*cache"):
        LocalWeightFiles(settings).fetch(f"{tmp_path}/models/model.onnx", sha256=DIGEST)
