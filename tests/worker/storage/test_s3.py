from collections.abc import Callable
from uuid import uuid4

import pytest

from tests.servers import Fault, FaultProxy, S3Server, client_of, free_port
from worker.errors import AccessDenied, ObjectChanged, ObjectMissing, StorageError, StoreMissing
from worker.settings import Connection
from worker.storage import s3
from worker.storage.s3 import S3Store, make_client

BODY = bytes(range(256)) * 1000


@pytest.fixture
def bucket(moto: S3Server) -> str:
    return moto.make_bucket(f"bucket-{uuid4().hex}")


@pytest.fixture
def proxied(moto: S3Server, bucket: str, fault_proxy: FaultProxy) -> S3Store:
    """A store behind the proxy that holds one object, `key`."""
    store = S3Store(bucket, "", client_of(moto, url=fault_proxy.url), backoff_s=0.001)
    store.put("key", BODY, media_type="application/octet-stream")
    fault_proxy.reset()
    store.usage.requests.clear()
    return store


@pytest.mark.parametrize(
    "key",
    ["../x", "a/../b", "/leading", "a//b", "tail/", ".", "%41", "+%2B", "tab\tx", "a\rb", "\x01", "x" * 1000],
)
def test_keys__that_a_folder_could_not_hold(moto: S3Server, bucket: str, key: str) -> None:
    store = S3Store(bucket, "in/", client_of(moto))
    store.put(key, key.encode(), media_type="text/plain")
    (found,) = store.list()
    assert found.key == key
    assert store.get(key, etag=found.etag, size=found.size) == key.encode()
    store.delete([key])
    assert list(store.list()) == []


@pytest.mark.parametrize("prefix", ["in", "in/"])
def test_prefix__is_a_whole_folder(moto: S3Server, bucket: str, prefix: str) -> None:
    whole = S3Store(bucket, "", client_of(moto))
    for key in ["in", "in/", "in/a", "in-between"]:
        whole.put(key, b"", media_type="text/plain")
    store = S3Store(bucket, prefix, client_of(moto))
    assert store.url == f"s3://{bucket}/in/"
    assert [found.key for found in store.list()] == ["a"]


def page(*keys: str, more: str = "") -> Fault:
    items = "".join(
        f"<Contents><Key>{key}</Key><ETag>&quot;e&quot;</ETag><Size>1</Size>"
        "<LastModified>2026-11-22T00:00:00.000Z</LastModified></Contents>"
        for key in keys
    )
    body = f"<ListBucketResult><EncodingType>url</EncodingType>{more}{items}</ListBucketResult>"
    return Fault(status=200, body=body.encode())


def test_list__decodes_keys_as_s3_encodes_them(proxied: S3Store, fault_proxy: FaultProxy) -> None:
    fault_proxy.faults = [page("a%0Ab", "a+b", "a%252Bb", "a%2Bb", "%E6%97%A5")]
    assert [found.key for found in proxied.list()] == ["a\nb", "a b", "a%2Bb", "a+b", "\u65e5"]


@pytest.mark.parametrize("keys", [("b", "a"), ("a", "a")])
def test_list__refuses_keys_out_of_order(
    proxied: S3Store, fault_proxy: FaultProxy, keys: tuple[str, str]
) -> None:
    fault_proxy.faults = [page(*keys)]
    with pytest.raises(StorageError, match="out of order"):
        list(proxied.list())


def test_list__refuses_a_page_that_repeats(proxied: S3Store, fault_proxy: FaultProxy) -> None:
    more = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
    fault_proxy.always = page("a", "b", more=more)
    with pytest.raises(StorageError, match="out of order"):
        list(proxied.list())


def test_list__refuses_an_object_without_etag(proxied: S3Store, fault_proxy: FaultProxy) -> None:
    fault = page("a")
    fault_proxy.faults = [Fault(status=200, body=fault.body.replace(b"<ETag>&quot;e&quot;</ETag>", b""))]
    with pytest.raises(StorageError, match="the answer lacks 'ETag'"):
        list(proxied.list())


def test_list__refuses_an_answer_that_is_no_s3(proxied: S3Store, fault_proxy: FaultProxy) -> None:
    fault_proxy.always = Fault(status=200, body=b"<html>log in first")
    with pytest.raises(StorageError, match="s3://bucket-"):
        list(proxied.list())


def test_list__refuses_an_end_that_is_none(proxied: S3Store, fault_proxy: FaultProxy) -> None:
    fault_proxy.faults = [page("a", more="<IsTruncated>true</IsTruncated>")]
    with pytest.raises(StorageError, match="cut its listing off"):
        list(proxied.list())


@pytest.mark.parametrize(
    "attempt",
    [
        lambda store: list(store.list()),
        lambda store: store.get("key"),
        lambda store: store.put("key", b"", media_type="text/plain"),
        lambda store: store.delete(["key"]),
    ],
)
@pytest.mark.parametrize("server", ["moto", "nanio"])
def test_bucket__missing(
    server: str, attempt: Callable[[S3Store], None], request: pytest.FixtureRequest
) -> None:
    store = S3Store("no-such-bucket", "", client_of(request.getfixturevalue(server)))
    with pytest.raises(StoreMissing, match=r"no such bucket: s3://no-such-bucket at http://127"):
        attempt(store)


def test_get__changed_is_told_by_the_server(moto: S3Server, bucket: str, fault_proxy: FaultProxy) -> None:
    store = S3Store(bucket, "", client_of(moto, url=fault_proxy.url))
    store.put("key", b"body", media_type="text/plain")
    with pytest.raises(ObjectChanged, match="not the one that was listed"):
        store.get("key", etag="0" * 32)
    assert store.usage.bytes_read == 0


@pytest.mark.parametrize(
    "fault", [Fault(keep_bytes=100), Fault(keep_bytes=0), Fault(keep_bytes=100_000, reset=True)]
)
def test_get__a_broken_body_is_read_again(proxied: S3Store, fault_proxy: FaultProxy, fault: Fault) -> None:
    fault_proxy.faults = [fault, fault, fault]
    assert proxied.get("key", size=len(BODY)) == BODY
    assert proxied.usage.requests == {"GET": 4}


@pytest.mark.parametrize("fault", [Fault(keep_bytes=100), Fault(keep_bytes=100_000, reset=True)])
def test_get__a_body_that_always_breaks(proxied: S3Store, fault_proxy: FaultProxy, fault: Fault) -> None:
    fault_proxy.always = fault
    with pytest.raises(StorageError, match=r"s3://bucket-.*/key: the body broke off 4 times") as caught:
        proxied.get("key", size=len(BODY))
    assert type(caught.value) is StorageError
    assert fault_proxy.requests == ["GET"] * 4


def test_get__a_shorter_body_that_says_so(proxied: S3Store, fault_proxy: FaultProxy) -> None:
    fault_proxy.faults = [Fault(keep_bytes=100, honest=True)]
    with pytest.raises(ObjectChanged, match="100 bytes came where 256000 were listed"):
        proxied.get("key", size=len(BODY))


@pytest.mark.parametrize(
    "fault",
    [Fault(status=503, code="ServiceUnavailable"), Fault(status=500), Fault(reset=True, keep_bytes=0)],
)
def test_requests__a_burst_of_faults_passes(proxied: S3Store, fault_proxy: FaultProxy, fault: Fault) -> None:
    fault_proxy.faults = [fault, fault]
    assert proxied.get("key", size=len(BODY)) == BODY
    assert proxied.usage.requests == {"GET": 3}
    fault_proxy.faults = [Fault(status=500), Fault(status=503, code="ServiceUnavailable")]
    proxied.put("other", b"x", media_type="text/plain")
    assert [found.key for found in proxied.list()] == ["key", "other"]


def test_requests__a_server_that_stays_broken(proxied: S3Store, fault_proxy: FaultProxy) -> None:
    fault_proxy.always = Fault(status=500)
    with pytest.raises(StorageError, match=r"/key: InternalError: on purpose \(HTTP status 500\)"):
        proxied.get("key")
    assert proxied.usage.requests == {"GET": 5}


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (403, "AccessDenied", AccessDenied),
        (400, "ExpiredToken", AccessDenied),
        (403, "InvalidObjectState", StorageError),
        (409, "OperationAborted", StorageError),
    ],
)
def test_errors__by_code(
    proxied: S3Store, fault_proxy: FaultProxy, status: int, code: str, expected: type
) -> None:
    fault_proxy.always = Fault(status=status, code=code)
    with pytest.raises(StorageError, match=f"key: {code}: on purpose") as caught:
        proxied.get("key")
    assert type(caught.value) is expected


def test_head__refused_is_not_missing(proxied: S3Store, fault_proxy: FaultProxy) -> None:
    fault_proxy.always = Fault(status=403, code="AccessDenied")
    with pytest.raises(AccessDenied, match="key"):
        proxied.head("key")


@pytest.mark.parametrize("part", ["access_key_id", "secret_access_key"])
def test_credentials__wrong(nanio: S3Server, part: str) -> None:
    given = nanio.connection().model_dump() | {part: "another-key-of-some-length"}
    store = S3Store("some-bucket", "", make_client(Connection.model_validate(given), threads=1))
    with pytest.raises(
        AccessDenied, match=r"s3://some-bucket/key: (InvalidAccessKeyId|SignatureDoesNotMatch)"
    ) as caught:
        store.get("key")
    assert "another-key" not in str(caught.value)


def test_credentials__none(moto: S3Server) -> None:
    store = S3Store("some-bucket", "", make_client(Connection(endpoint_url=moto.url), threads=1))
    with pytest.raises(AccessDenied, match="no credentials; set AWS_ACCESS_KEY_ID"):
        store.get("key")


def test_endpoint__nobody_there() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    connection = Connection(endpoint_url=url, access_key_id="a", secret_access_key="b")
    store = S3Store("some-bucket", "", make_client(connection, threads=1, attempts=2))
    with pytest.raises(StorageError, match=f"s3://some-bucket/key: no answer from {url}"):
        store.get("key")
    assert store.usage.requests == {"GET": 2}


def test_errors__stay_on_one_line(moto: S3Server, bucket: str) -> None:
    with pytest.raises(ObjectMissing) as caught:
        S3Store(bucket, "", client_of(moto)).get("two\rlines")
    assert str(caught.value) == rf"no such object: s3://{bucket}/two\rlines"


@pytest.mark.parametrize("kind", ["moto", "nanio"])
def test_put__in_parts(kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    five_mib = 5 * 2**20  # the smallest part that S3 accepts
    monkeypatch.setattr(s3, "_PART_BYTES", five_mib)
    monkeypatch.setattr(
        s3, "_TRANSFER", s3.TransferConfig(five_mib, multipart_chunksize=five_mib, use_threads=False)
    )
    server = request.getfixturevalue(kind)
    store = S3Store(server.make_bucket(f"bucket-{uuid4().hex}"), "", client_of(server))
    body = BODY * 24
    store.put("key", body, media_type="text/plain")
    found = store.head("key")
    assert found is not None
    assert store.get("key", etag=found.etag, size=len(body)) == body
    assert b"".join(store.parts("key", etag=found.etag, size=len(body), part_bytes=2**20)) == body
    assert store.usage.requests == {"PUT": 4, "HEAD": 1, "GET": 7}
    assert store.usage.bytes_written == len(body)


def test_put__in_parts_leaves_none_behind(
    proxied: S3Store, fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    five_mib = 5 * 2**20
    monkeypatch.setattr(s3, "_PART_BYTES", five_mib)
    monkeypatch.setattr(
        s3, "_TRANSFER", s3.TransferConfig(five_mib, multipart_chunksize=five_mib, use_threads=False)
    )
    refused = Fault(status=403, code="AccessDenied")
    fault_proxy.faults = [Fault(), refused]
    with pytest.raises(AccessDenied):
        proxied.put("big", BODY * 24, media_type="text/plain")
    assert fault_proxy.requests[0] == "POST"
    assert fault_proxy.requests[-1] == "DELETE"
    assert "Uploads" not in proxied._client.list_multipart_uploads(Bucket=proxied.bucket)
    assert proxied.head("big") is None


@pytest.mark.parametrize("fault", [Fault(keep_bytes=10), Fault(keep_bytes=100, reset=True)])
def test_get_range__a_broken_body_is_read_again(
    proxied: S3Store, fault_proxy: FaultProxy, fault: Fault
) -> None:
    listed = proxied.head("key")
    assert listed is not None
    fault_proxy.faults = [fault, fault]
    part = proxied.get_range("key", 1000, 2000, etag=listed.etag, size=listed.size)
    assert part == BODY[1000:2000]
    assert proxied.usage.requests["GET"] == 3


@pytest.mark.parametrize(
    ("headers", "error", "text"),
    [
        ({}, StorageError, "does not answer with a part"),
        ({"Content-Range": "bytes 1000-1999/256001"}, ObjectChanged, "256001 bytes where 256000 were listed"),
        ({"Content-Range": "bytes 0-999/256000"}, StorageError, "the part 0-999 instead of"),
        ({"Content-Range": "bytes 1000-1999/*"}, StorageError, "does not answer with a part"),
        ({"ETag": '"other"', "Content-Range": "bytes 1000-1999/256000"}, ObjectChanged, "not the one"),
    ],
)
def test_get_range__a_server_that_answers_with_something_else(
    proxied: S3Store, fault_proxy: FaultProxy, headers: dict[str, str], error: type[Exception], text: str
) -> None:
    listed = proxied.head("key")
    assert listed is not None
    status = 206 if "Content-Range" in headers else 200
    said = {"ETag": f'"{listed.etag}"', **headers}
    fault_proxy.faults = [Fault(status=status, body=BODY[1000:2000], headers=tuple(said.items()))]
    with pytest.raises(error, match=text) as caught:
        proxied.get_range("key", 1000, 2000, etag=listed.etag, size=listed.size)
    assert type(caught.value) is error
    assert proxied.usage.bytes_read == 0


def test_parts__of_an_object_that_changed(moto: S3Server, bucket: str) -> None:
    store = S3Store(bucket, "", client_of(moto))
    store.put("key", b"0123456789", media_type="text/plain")
    found = store.head("key")
    assert found is not None
    parts = store.parts("key", etag=found.etag, size=10, part_bytes=4)
    assert next(parts) == b"0123"
    store.put("key", b"abcdefghij", media_type="text/plain")
    with pytest.raises(ObjectChanged):
        next(parts)


def test_make_client__on_aws_keeps_the_defaults() -> None:
    client = make_client(Connection(region="eu-central-1"), threads=16)
    config = client.meta.config
    assert config.max_pool_connections == 24
    assert config.retries == {"mode": "standard", "total_max_attempts": 5}
    assert config.request_checksum_calculation == "when_supported"
    assert config.s3 is None or "addressing_style" not in config.s3


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_make_client__elsewhere_by_a_variable(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "https://s3.example.org")
    config = make_client(Connection(), threads=1).meta.config
    assert config.request_checksum_calculation == "when_required"
    assert config.response_checksum_validation == "when_required"
    assert config.s3["addressing_style"] == "path"


def test_make_client__no_such_profile() -> None:
    with pytest.raises(StorageError, match=r"S3 connection: .*nobody"):
        make_client(Connection(profile="nobody"), threads=1)
