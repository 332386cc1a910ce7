"""One store of each kind, empty, and no AWS settings of whoever runs the tests."""

import os
from pathlib import Path
from uuid import uuid4

import pytest

from tests.servers import client_of
from worker.storage.local import LocalStore
from worker.storage.s3 import S3Store
from worker.storage.store import ObjectStore


@pytest.fixture(autouse=True)
def no_aws_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-aws-credentials"))


@pytest.fixture(params=["local", "moto", "nanio"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if kind == "local":
        (tmp_path / "root").mkdir()
        return LocalStore(tmp_path / "root")
    server = request.getfixturevalue(kind)
    bucket = server.make_bucket(f"bucket-{uuid4().hex}")
    return S3Store(bucket, "some where/", client_of(server), backoff_s=0.001)
