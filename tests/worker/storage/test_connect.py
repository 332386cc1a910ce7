from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobs.datasource import Location
from tests.servers import S3Server
from worker.errors import JobFailed, JobRejected
from worker.settings import Connection, Settings
from worker.storage.connect import connect, open_bucket
from worker.storage.local import LocalStore
from worker.storage.s3 import S3Store


def location(url: str, connection: str | None = None) -> Location:
    return Location.model_validate({"url": url, "connection": connection})


def test_connect__a_folder(tmp_path: Path) -> None:
    store = connect(location(f"{tmp_path}/a"), Settings())
    assert isinstance(store, LocalStore)
    assert store.url == f"{tmp_path}/a/"


def test_connect__a_named_connection(nanio: S3Server) -> None:
    bucket = nanio.make_bucket("connect-named")
    settings = Settings(connections={"mine": nanio.connection()})
    store = connect(location(f"s3://{bucket}/a", "mine"), settings)
    store.put("key", b"body", media_type="text/plain")
    assert store.url == f"s3://{bucket}/a/"
    assert [found.key for found in open_bucket(bucket, "", connection="mine", settings=settings).list()] == [
        "a/key"
    ]


def test_connect__the_default_is_what_the_aws_variables_say(
    nanio: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in nanio.environment().items():
        monkeypatch.setenv(name, value)
    store = connect(location(f"s3://{nanio.make_bucket('connect-default')}/"), Settings())
    store.put("key", b"body", media_type="text/plain")
    assert store.get("key") == b"body"


def test_connect__an_unknown_connection() -> None:
    settings = Settings(connections={"berlin": Connection(), "paris": Connection()})
    with pytest.raises(
        JobRejected, match="no connection 'berln'; choose from berlin, paris; did you mean 'berlin'"
    ):
        connect(location("s3://bucket/", "berln"), settings)
    with pytest.raises(JobRejected, match="no connection 'mine'; this machine has none"):
        connect(location("s3://bucket/", "mine"), Settings())


def test_connect__one_client_for_all_threads() -> None:
    settings = Settings(
        connections={"mine": Connection(endpoint_url="http://127.0.0.1:1", region="one-client")}
    )

    def opened(_: int) -> S3Store:
        return open_bucket("bucket", "", connection="mine", settings=settings)

    with ThreadPoolExecutor(8) as threads:
        stores = list(threads.map(opened, range(16)))
    assert len({id(store._client) for store in stores}) == 1


def test_connect__the_secret_from_a_file(nanio: S3Server, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{nanio.secret_key}\n")
    connection = Connection(
        endpoint_url=nanio.url, access_key_id=nanio.access_key, secret_access_key_file=tmp_path / "secret"
    )
    store = open_bucket("no-such", "", connection="mine", settings=Settings(connections={"mine": connection}))
    assert store.head("key") is None
    gone = connection.model_copy(update={"secret_access_key_file": tmp_path / "gone"})
    with pytest.raises(JobFailed, match=r"secret_access_key_file: .*gone: No such file"):
        open_bucket("no-such", "", connection="mine", settings=Settings(connections={"mine": gone}))
