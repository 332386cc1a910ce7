"""Where input and output live."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote

from pydantic import AfterValidator, Field, GetJsonSchemaHandler, ValidationError, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from jobs.contract import Contract, Number, refusal, rejected, shown
from jobs.errors import JobRejected

_CHOICES = "give s3://bucket/prefix/, a local path or file:///path"
INVENTORY = "manifest.json"
"""The name that S3 gives to the manifest of an inventory."""


class _Place(Contract):
    """What a folder and an object have in common. Written as a URL alone, or as {url, connection}."""

    url: str
    connection: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
        description="name of an S3 connection in the machine's settings; null: the default one",
    )

    @model_validator(mode="before")
    @classmethod
    def _normalised(cls, given: Any) -> Any:
        whole = {"url": given} if isinstance(given, str) else given
        if isinstance(whole, Mapping) and isinstance(whole.get("url"), str) and whole["url"]:
            return {**whole, "url": cls._one_way(whole["url"])}
        return whole

    @classmethod
    def _one_way(cls, url: str) -> str:
        return normalised(url)

    @model_validator(mode="after")
    def _connection_to_a_bucket(self) -> Self:
        if self.connection is not None and not self.is_s3:
            raise refusal("a connection is for s3:// only", "connection")
        return self

    @property
    def is_s3(self) -> bool:
        """Whether this is in a bucket rather than on this machine."""
        return self.url.startswith("s3://")

    @property
    def bucket(self) -> str:
        """The bucket's name; a ValueError for a local place."""
        return self._bucket_and_key()[0]

    @property
    def path(self) -> Path:
        """The local path, absolute; a ValueError for a bucket."""
        if self.is_s3:
            raise ValueError(f"{self.url} is in a bucket")
        return Path(self.url)

    def _bucket_and_key(self) -> tuple[str, str]:
        if not self.is_s3:
            raise ValueError(f"{self.url} is not in a bucket")
        bucket, _, key = self.url.removeprefix("s3://").partition("/")
        return bucket, key

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Allow the URL alone."""
        whole = handler.resolve_ref_schema(handler(core_schema))
        url = {
            key: whole["properties"]["url"][key] for key in ("type", "minLength", "maxLength", "description")
        }
        return {"title": whole["title"], "description": whole["description"], "anyOf": [url, dict(whole)]}


class Location(_Place):
    """One folder of a bucket or of this machine. Written as a URL alone, or as {url, connection}."""

    url: str = Field(
        min_length=1,
        max_length=4096,
        description="s3://bucket/prefix/, a local path or file:///path; a prefix is a whole folder",
    )

    @property
    def prefix(self) -> str:
        """What the keys start with: empty for a whole bucket, else with a slash at the end."""
        return self._bucket_and_key()[1]

    def contains(self, other: "_Place") -> bool:
        """Whether `other` is this folder or below it, by name alone: links are not followed.

        Two named connections may lead to two services, so the same bucket over another connection is another place.
        """
        return self.connection == other.connection and other.url.startswith(self.url)

    def below(self, name: str) -> "Location":
        """Return the folder `name` in this one."""
        return self.model_copy(update={"url": f"{self.url}{name}/"})


class ListingObject(_Place):
    """One object that lists others. Written as a URL alone, or as {url, connection}."""

    url: str = Field(
        min_length=1,
        max_length=4096,
        description="s3://bucket/key, a local path or file:///path of a .parquet file with the columns key, etag and"
        " size, or of the manifest.json of an S3 Inventory",
    )

    @classmethod
    def _one_way(cls, url: str) -> str:
        name = url.rpartition("/")[2]
        if name != INVENTORY and not name.endswith(".parquet"):
            raise refusal(
                f"should be a .parquet file or the {INVENTORY} of an S3 Inventory (got {shown(url)})", "url"
            )
        whole = normalised(url)
        if whole.count("/") == 3 and whole.startswith("s3://"):
            raise refusal(f"should be an object of a bucket (got {shown(url)})", "url")
        return whole.removesuffix("/")

    @property
    def is_inventory(self) -> bool:
        """Whether this is the manifest of an S3 Inventory rather than a Parquet file."""
        return self.url.endswith(f"/{INVENTORY}")

    @property
    def key(self) -> str:
        """The whole key in its bucket; a ValueError for a local file."""
        return self._bucket_and_key()[1]


class InputExpiration(Contract):
    """What to do with objects that the bucket will soon delete."""

    min_days_to_expiration: Number = Field(
        ge=0, le=36_500, description="an object with fewer days left is expiring"
    )
    handling_strategy: Literal["SKIP", "ABORT"] = Field(
        description="SKIP leaves expiring objects out, ABORT ends the job"
    )


def _below_lightly(key: str) -> str:
    segments = key.split("/")
    if segments[0] != ".lightly" or len(segments) < 2 or {"", ".", ".."} & set(segments):
        raise refusal(f"should be a file below .lightly/, without '..' (got {shown(key)})")
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in key):
        raise refusal(f"should hold no control character (got {shown(key)})")
    return key


class OutputOnly(Contract):
    """Where the results of a job without input of its own go."""

    output: Location = Field(description="results go to <output>/<name>/<job id>/")


class TrainingDatasource(OutputOnly):
    """Where the images of a training are, and where its results go."""

    input: Location = Field(description="the images and videos")


class Datasource(TrainingDatasource):
    """Where a selection reads and writes."""

    process: Literal["all", "new"] = Field(
        default="all", description="all objects, or only those that no earlier job has processed"
    )
    listing: ListingObject | None = Field(
        default=None, description="an object that lists the input, to be read instead of asking the store"
    )
    relevant_filenames: Annotated[str, AfterValidator(_below_lightly)] | None = Field(
        default=None,
        min_length=1,
        max_length=1024,
        description="file below .lightly/ of the output, else of the input; lists the objects to look at, a path or pattern a line",
    )
    input_expiration: InputExpiration | None = Field(
        default=None, description="what to do with objects that the bucket will soon delete"
    )

    @model_validator(mode="after")
    def _inventory_of_a_bucket(self) -> "Datasource":
        if self.listing is not None and self.listing.is_inventory:
            for place, what in ((self.listing, "listing"), (self.input, "input")):
                if not place.is_s3:
                    raise refusal(
                        f"an S3 Inventory lies in a bucket and lists one (got {shown(place.url)})", what
                    )
        return self


def check_apart(datasource: TrainingDatasource, *, name: str) -> None:
    """Refuse results below the input, where the next job would list them.

    Raises:
        PydanticCustomError: from within a validator of the job; names the output.
    """
    given, output = datasource.input, datasource.output
    why = f"(input {shown(given.url)}, output {shown(output.url)}); results would be listed as input by the next job"
    if output == given:
        raise refusal(f"should not be the input {why}", "datasource", "output")
    if given.contains(output):
        raise refusal(f"should not be inside the input {why}", "datasource", "output")
    if given.contains(output.below(name)):
        raise refusal(
            f"the folder {name!r} of this job's results is inside the input {why}", "datasource", "output"
        )


def parse_location(url: str, *, connection: str | None, at: str) -> Location:
    """Return a place that does not come from a job, such as an option of the command line.

    Raises:
        JobRejected: not a place; the text starts with `at`.
    """
    given = {"url": url, "connection": connection}
    try:
        return Location.model_validate(given)
    except ValidationError as error:
        raise JobRejected(f"{at}: {rejected(error, given)}") from error


def normalised(url: str) -> str:
    """Return the one way to write a place: `s3://bucket/prefix/` or an absolute path, with a slash at the end.

    A relative path is resolved against the working folder; nothing is read from the disk.

    Raises:
        PydanticCustomError: not a place that this can be; for use in validators.
    """
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in url):
        raise refusal(f"should hold no control character (got {shown(url)})", "url")
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", url)
    if scheme is None:
        return _normalised_path(url)
    kind, rest = scheme[1].lower(), url[scheme.end() :]
    if "@" in rest.lstrip("/").partition("/")[0]:  # not shown: it may be a secret
        raise refusal(
            "should hold no credentials; name a connection of the machine's settings instead", "url"
        )
    if kind not in ("s3", "file"):
        raise refusal(f"{kind}: is not supported; {_CHOICES} (got {shown(url)})", "url")
    if not rest.startswith("//"):
        raise refusal(f"should go on with // after {kind}: (got {shown(url)})", "url")
    if "?" in rest or "#" in rest:
        raise refusal("should hold no query ('?') and no fragment ('#')", "url")
    return _normalised_bucket(rest[2:]) if kind == "s3" else _normalised_path(_path_of_file_url(rest[2:]))


def _normalised_bucket(rest: str) -> str:
    bucket, _, prefix = rest.partition("/")
    if "@" in bucket:
        raise refusal(
            "should hold no credentials; name a connection of the machine's settings instead", "url"
        )
    legal = re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket)
    if not legal or ".." in bucket or re.fullmatch(r"[0-9]+(\.[0-9]+){3}", bucket):
        raise refusal(
            f"{shown(bucket)} is not a bucket's name: 3 to 63 of a-z, 0-9, '.' and '-', a letter or digit first and last",
            "url",
        )
    prefix = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
    if {".", ".."} & set(prefix.split("/")):
        raise refusal(f"should hold no '.' or '..' folder (got {shown(prefix)})", "url")
    if len(prefix.encode()) > 900:
        raise refusal("the prefix should have at most 900 bytes, since keys have 1024", "url")
    return f"s3://{bucket}/{prefix}"


def _path_of_file_url(rest: str) -> str:
    host, slash, path = rest.partition("/")
    if host not in ("", "localhost") or not slash:
        raise refusal(f"should be file:///path, with three slashes (got {shown(f'file://{rest}')})", "url")
    decoded = unquote(f"/{path}")
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in decoded):
        raise refusal(f"should hold no control character (got {shown(decoded)})", "url")
    return decoded


def _normalised_path(path: str) -> str:
    if path.startswith("~"):
        raise refusal(f"'~' is not expanded; write the whole path (got {shown(path)})", "url")
    # abspath keeps two leading slashes, which POSIX lets a system treat as another root.
    folder = os.path.abspath(path).strip("/")  # noqa: PTH100 - Path.resolve would follow links on this disk
    return f"/{folder}/" if folder else "/"
