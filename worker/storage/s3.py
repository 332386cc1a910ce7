"""A bucket as an object store, and the client that it needs: the only file that knows boto3."""

import random
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004  # not the built-in one
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from urllib3.exceptions import HTTPError

from worker.errors import AccessDenied, ObjectChanged, ObjectMissing, StorageError, StoreMissing
from worker.settings import Connection
from worker.storage.lifecycle import expiry_rules
from worker.storage.place import one_line, place
from worker.storage.store import ExpiryRule, ObjectInfo, Usage

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

_BODY_ATTEMPTS = 4
_PART_BYTES = 64 * 2**20
_TRANSFER = TransferConfig(
    multipart_threshold=_PART_BYTES, multipart_chunksize=_PART_BYTES, use_threads=False
)

_KINDS = {
    "ListObjectsV2": "LIST",
    "GetObject": "GET",
    "GetBucketLifecycleConfiguration": "GET",
    "HeadObject": "HEAD",
    "DeleteObject": "DELETE",
}
_DENIED = {
    "AccessDenied",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
}
_OTHER = "the object is not the one that was listed"
_NO_CREDENTIALS = (
    "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or name a connection "
    "(FRAMESIFT_CONNECTIONS__<NAME>__ACCESS_KEY_ID and __SECRET_ACCESS_KEY)"
)

_usage: ContextVar[Usage | None] = ContextVar("_usage", default=None)
"""Whose requests the client is sending: clients are shared between stores, and retry by themselves."""


def make_client(connection: Connection, *, threads: int, attempts: int = 5) -> "S3Client":
    """Return a client that `threads` threads can use at once and that tries each request `attempts` times.

    Raises:
        StorageError: the connection's endpoint or profile cannot be used.
        JobFailed: the secret's file cannot be read.
    """
    config = Config(
        max_pool_connections=threads + 8,
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=5,
        read_timeout=30,
        tcp_keepalive=True,
        signature_version="s3v4",
    )
    # Other servers reject or miscompute the newer checksums, and few have a host name for each bucket.
    elsewhere = Config(
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        session = boto3.session.Session(
            aws_access_key_id=connection.access_key_id,
            aws_secret_access_key=connection.secret(),
            region_name=connection.region,
            profile_name=connection.profile,
        )
        client = session.client("s3", endpoint_url=connection.endpoint_url, config=config)
        # Variables and profiles may name an endpoint too, so the client itself is asked.
        if not _is_aws(client.meta.endpoint_url):
            client = session.client(
                "s3", endpoint_url=connection.endpoint_url, config=config.merge(elsewhere)
            )
    except (BotoCoreError, ValueError) as error:
        raise StorageError(f"S3 connection: {one_line(str(error))}") from error
    client.meta.events.register("before-send.s3", _count)
    return client


class S3Store:
    """Objects of one bucket below one prefix.

    Requests are repeated by the client; a body that breaks off is repeated here, since the client does not.
    Every attempt counts in `usage`; of a body that was reset, the bytes that came do not.
    """

    def __init__(self, bucket: str, prefix: str, client: "S3Client", *, backoff_s: float = 0.2) -> None:
        self.bucket = bucket
        self.prefix = prefix if prefix == "" or prefix.endswith("/") else f"{prefix}/"
        self.url = f"s3://{bucket}/{self.prefix}"
        self.usage = Usage()
        self._client = client
        self._backoff_s = backoff_s

    @property
    def place(self) -> str:
        """Endpoint, bucket and prefix: two connections may lead to one service."""
        return f"{self._client.meta.endpoint_url}/{self.bucket}/{self.prefix}"

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects whose key starts with `prefix`, a page of up to 1,000 at a time.

        The object that some tools make for the store's own prefix, as if it were a folder, is not listed.
        """
        request: dict[str, Any] = {"Bucket": self.bucket, "Prefix": self.prefix + prefix}
        last = b""
        while True:
            with self._asking(prefix, what="bucket"):
                page = self._client.list_objects_v2(**request)
                found = [
                    ObjectInfo(item["Key"], _etag(item["ETag"]), item["Size"], item["LastModified"])
                    for item in page.get("Contents", [])
                ]
            for info in found:
                if not last < info.key.encode() or not info.key.startswith(request["Prefix"]):
                    raise StorageError(
                        f"{place(self.url, prefix)}: the server lists keys out of order or beside the prefix"
                    )
                last = info.key.encode()
                if info.key != self.prefix:
                    yield replace(info, key=info.key.removeprefix(self.prefix))
            if not page.get("IsTruncated"):
                return
            if not page.get("NextContinuationToken"):
                raise StorageError(f"{place(self.url, prefix)}: the server cut its listing off")
            request["ContinuationToken"] = page["NextContinuationToken"]

    def expiry_rules(self) -> Sequence[ExpiryRule]:
        """Return what the bucket's lifecycle rules say about keys below the prefix; a bucket without rules has none."""
        try:
            with self._asking("", what="bucket"):
                answer = self._client.get_bucket_lifecycle_configuration(Bucket=self.bucket)
                return expiry_rules(answer["Rules"], below=self.prefix)
        except _NoRules:
            return ()

    def head(self, key: str) -> ObjectInfo | None:
        """Return the object's facts, or None; a missing bucket looks the same, since the answer has no text."""
        try:
            with self._asking(key):
                answer = self._client.head_object(Bucket=self.bucket, Key=self.prefix + key)
                return ObjectInfo(key, _etag(answer["ETag"]), answer["ContentLength"], answer["LastModified"])
        except ObjectMissing:
            return None

    def get(self, key: str, *, etag: str | None = None, size: int | None = None) -> bytes:
        """Return the object's body, in one request."""
        return self._get(key, _Listed(etag, size))

    def get_range(self, key: str, start: int, stop: int, *, etag: str, size: int) -> bytes:
        """Return a part of the object's body, in one request; a server that answers with another part is an error."""
        try:
            return self._get(key, _Listed(etag, size, (start, stop)))
        except StorageError as error:
            # Servers have several words for a part that lies behind the end of what was put in the object's place.
            if type(error) is StorageError and self._is_another(key, etag, size):
                raise ObjectChanged(f"{place(self.url, key)}: {_OTHER}") from error
            raise

    def parts(self, key: str, *, etag: str, size: int, part_bytes: int = _PART_BYTES) -> Iterator[bytes]:
        """Yield the body of one listed object in parts, for what is too large to hold."""
        for start in range(0, size, part_bytes):
            yield self.get_range(key, start, min(start + part_bytes, size), etag=etag, size=size)

    def put(self, key: str, body: bytes, *, media_type: str) -> None:
        """Write the object; above 64 MiB in parts, which are removed again when one fails."""
        target: dict[str, Any] = {"Bucket": self.bucket, "Key": self.prefix + key}
        with self._asking(key):
            if len(body) <= _PART_BYTES:
                self._client.put_object(**target, Body=body, ContentType=media_type)
            else:
                extra = {"ContentType": media_type}
                self._client.upload_fileobj(BytesIO(body), **target, ExtraArgs=extra, Config=_TRANSFER)

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects one by one: the request for many at once cannot carry every key, nor do all servers know it."""
        for key in keys:
            with self._asking(key):
                self._client.delete_object(Bucket=self.bucket, Key=self.prefix + key)

    def _is_another(self, key: str, etag: str, size: int) -> bool:
        try:
            found = self.head(key)
        except StorageError:
            return False
        return found is not None and (found.etag, found.size) != (etag, size)

    def _get(self, key: str, listed: "_Listed") -> bytes:
        attempt = 1
        while True:
            answer = self._open(key, listed)
            try:
                return self._read(key, answer, listed)
            except (BotoCoreError, HTTPError, OSError) as error:
                if attempt == _BODY_ATTEMPTS:
                    text = (
                        f"{place(self.url, key)}: the body broke off {attempt} times: {one_line(str(error))}"
                    )
                    raise StorageError(text) from error
            time.sleep(self._backoff_s * 2**attempt * random.uniform(0.5, 1))  # noqa: S311  # not a secret
            attempt += 1

    def _open(self, key: str, listed: "_Listed") -> "GetObjectOutputTypeDef":
        request: dict[str, Any] = {"Bucket": self.bucket, "Key": self.prefix + key}
        if listed.etag is not None:
            request["IfMatch"] = f'"{listed.etag}"'
        if listed.span is not None:
            request["Range"] = f"bytes={listed.span[0]}-{listed.span[1] - 1}"
        with self._asking(key):
            return self._client.get_object(**request)

    def _read(self, key: str, answer: "GetObjectOutputTypeDef", listed: "_Listed") -> bytes:
        """Return the body, once the answer's own head says that it is the planned one: some servers ignore IfMatch."""
        with answer["Body"] as body:
            if listed.etag is not None and listed.etag != _etag(answer.get("ETag", "")):
                raise ObjectChanged(f"{place(self.url, key)}: {_OTHER}")
            if listed.span is not None:
                self._expect_part(key, answer.get("ContentRange", ""), listed)
            length = answer.get("ContentLength", listed.length)
            if listed.length is not None and length != listed.length:
                text = f"{length} bytes came where {listed.length} were listed"
                raise ObjectChanged(f"{place(self.url, key)}: {text}")
            read = body.read()
        self.usage.add_bytes(read=len(read))
        if listed.length is not None and len(read) != listed.length:
            raise OSError(f"{len(read)} bytes of {listed.length}")
        return read

    def _expect_part(self, key: str, content_range: str, listed: "_Listed") -> None:
        """Make sure that an answer holds the part that was asked for: some servers ignore Range, too."""
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", content_range)
        if found is None:
            text = "the server does not answer with a part of the object (no Content-Range)"
            raise StorageError(f"{place(self.url, key)}: {text}")
        first, last, total = map(int, found.groups())
        if total != listed.size:
            raise ObjectChanged(f"{place(self.url, key)}: {total} bytes where {listed.size} were listed")
        if (first, last + 1) != listed.span:
            raise StorageError(
                f"{place(self.url, key)}: the server answers with the part {first}-{last} instead of the one asked for"
            )

    @contextmanager
    def _asking(self, key: str, *, what: str = "object") -> Iterator[None]:
        """Count the requests of this block for this store, and turn their failures into the error tree."""
        token = _usage.set(self.usage)
        try:
            yield
        except ClientError as error:
            raise self._refused(key, error, what=what) from error
        except (BotoCoreError, HTTPError, OSError, UnicodeError, KeyError) as error:
            raise self._failed(key, error) from error
        finally:
            _usage.reset(token)

    def _refused(self, key: str, error: ClientError, *, what: str) -> StorageError:
        """Say what a server's answer means."""
        code = error.response.get("Error", {}).get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        text = one_line(error.response.get("Error", {}).get("Message", ""))[:300]
        where = place(self.url, key)
        if code == "NoSuchLifecycleConfiguration":
            return _NoRules(f"{where}: {text}")
        if code == "NoSuchBucket" or (status == 404 and what == "bucket"):
            return StoreMissing(f"no such bucket: s3://{self.bucket} at {self._client.meta.endpoint_url}")
        if code == "NoSuchKey" or status == 404:
            return ObjectMissing(f"no such object: {where}")
        if status == 412:
            return ObjectChanged(f"{where}: {_OTHER}")
        # An archived object answers 403 too, and no other key would help.
        if code in _DENIED or (status in {401, 403} and code != "InvalidObjectState"):
            return AccessDenied(f"{where}: {code}: {text}")
        return StorageError(f"{where}: {code}: {text} (HTTP status {status})")

    def _failed(self, key: str, error: Exception) -> StorageError:
        """Say what kept an answer from coming."""
        where = place(self.url, key)
        match error:
            case NoCredentialsError():
                return AccessDenied(f"{where}: {_NO_CREDENTIALS}")
            case PartialCredentialsError() | CredentialRetrievalError():
                return AccessDenied(f"{where}: {one_line(str(error))}")
            case HTTPClientError() | ConnectionError():
                endpoint = self._client.meta.endpoint_url
                return StorageError(f"{where}: no answer from {endpoint}: {one_line(str(error))}")
            case KeyError():
                return StorageError(f"{where}: the answer lacks {error}")
            case _:
                return StorageError(f"{where}: {one_line(str(error))}")


@dataclass(frozen=True, slots=True)
class _Listed:
    """What a GET is to answer with: the object as it was listed, None where nobody said, whole or its `span`."""

    etag: str | None
    size: int | None
    span: tuple[int, int] | None = None

    @property
    def length(self) -> int | None:
        """How many bytes the body has."""
        return self.size if self.span is None else self.span[1] - self.span[0]


class _NoRules(StorageError):
    """The bucket has no lifecycle configuration, which is an answer rather than a failure."""


def _is_aws(endpoint_url: str) -> bool:
    host = urlsplit(endpoint_url).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))


def _etag(header: str) -> str:
    return header.removeprefix("W/").strip('"')


def _count(event_name: str, request: Any, **_: Any) -> None:
    usage = _usage.get()
    if usage is not None:
        operation = event_name.rpartition(".")[2]
        sends_body = operation in {"PutObject", "UploadPart"}
        sent = request.headers.get("X-Amz-Decoded-Content-Length", request.headers.get("Content-Length", 0))
        usage.add(_KINDS.get(operation, "PUT"), written=int(sent) if sends_body else 0)
