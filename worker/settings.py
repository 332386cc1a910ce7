"""Settings of a worker: FRAMESIFT_* variables and the TOML file in FRAMESIFT_CONFIG; never from a job."""

import json
import os
import re
from pathlib import Path
from tempfile import gettempdir
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode, SettingsConfigDict

from jobs.datasource import Location
from jobs.errors import SettingsWrong
from jobs.settings import QueueSettings, read_settings, secret_from
from worker.device import DeviceChoice, Precision
from worker.errors import JobFailed
from worker.media.limits import Limits


class Connection(BaseModel):
    """One S3 endpoint by name. What is left out is looked up as the AWS tools do (variables, profile, role)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    endpoint_url: str | None = Field(default=None, pattern=r"^https?://[^/\s@]+(/\S*)?$")
    region: str | None = None
    access_key_id: str | None = Field(default=None, min_length=1)
    secret_access_key: SecretStr | None = Field(default=None, min_length=1)
    secret_access_key_file: Path | None = None
    profile: str | None = None

    def secret(self) -> str | None:
        """Return the secret key, from the file where one is named.

        Raises:
            JobFailed: the file cannot be read.
        """
        if self.secret_access_key_file is None:
            return self.secret_access_key.get_secret_value() if self.secret_access_key else None
        try:
            return secret_from(self.secret_access_key_file, name="secret_access_key_file")
        except SettingsWrong as error:
            raise JobFailed(str(error)) from error

    @model_validator(mode="after")
    def _keys_come_in_pairs(self) -> Self:
        if self.secret_access_key is not None and self.secret_access_key_file is not None:
            raise ValueError("secret_access_key and secret_access_key_file exclude each other")
        has_secret = self.secret_access_key is not None or self.secret_access_key_file is not None
        if has_secret != (self.access_key_id is not None):
            raise ValueError("access_key_id and secret_access_key (or secret_access_key_file) go together")
        if has_secret and self.profile is not None:
            raise ValueError("profile and access_key_id exclude each other")
        return self


def _default_cache_dir() -> Path:
    """Return where caches go on this machine; a user without a home has one among temporary files."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "framesift"
    except RuntimeError:
        return Path(gettempdir()) / f"framesift-{os.getuid()}"


class Prices(BaseModel):
    """What a deployment pays, so that done.json can say what a job cost. Currency is a word of your choice."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$")
    get_per_million: float = Field(default=0.0, ge=0, description="GET and HEAD requests")
    put_per_million: float = Field(default=0.0, ge=0, description="PUT and LIST requests")
    read_per_gb: float = Field(default=0.0, ge=0, description="10**9 bytes read from the stores")
    cpu_per_hour: float = Field(default=0.0, ge=0, description="an hour of a worker without a GPU")
    gpu_per_hour: float = Field(default=0.0, ge=0, description="an hour of a worker on a GPU")


Locations = Annotated[tuple[Location, ...], NoDecode]


class Settings(QueueSettings):
    """Everything a deployment may set. Environment variables win over the file."""

    model_config = SettingsConfigDict(extra="forbid")

    connections: dict[str, Connection] = Field(default={}, description="named S3 endpoints")
    device: DeviceChoice = "auto"
    precision: Literal["auto"] | Precision = Field(
        default="auto",
        description="what torch computes in on a GPU; auto: the device's best for `run`, float32 for queued jobs,"
        " which workers of several kinds share",
    )
    limits: Limits = Limits()
    batch_size: int = Field(default=32, ge=1, le=4096, description="images in one model call")
    chunk_sources: int = Field(default=256, ge=1, le=65536, description="sources in a chunk, about")
    decode_processes: int = Field(default=0, ge=0, le=512, description="decoding processes; 0: one a core")
    fetch_threads: int = Field(default=16, ge=1, le=512, description="objects downloaded at once")
    inflight_bytes: int = Field(
        default=512 * 2**20, ge=2**20, description="bytes of undecoded objects in memory"
    )
    video_cache_bytes: int = Field(
        default=256 * 2**20, ge=2**25, description="bytes of videos in memory that are being read"
    )
    memory_bytes: int = Field(
        default=0,
        ge=0,
        description="memory that a selection may need; 0: the machine's, or its container's limit",
    )
    cache_dir: Path = Field(default_factory=_default_cache_dir, description="model files made here")
    weights_dirs: Annotated[list[Path], NoDecode] = Field(
        default=[], description="local folders from which a job may load model weights"
    )

    outputs: Locations = Field(
        default=(), description="places below which queued jobs may write, URLs or folders; a queue needs one"
    )
    inputs: Locations = Field(
        default=(),
        description="places below which queued jobs may read; none: every bucket that a connection opens, and no"
        " folder of this machine",
    )
    window: int = Field(default=16, ge=1, le=10_000, description="chunks of one job in the queue at once")
    max_attempts: int = Field(
        default=4, ge=1, le=100, description="tries of one step until it counts as failed"
    )
    lease_s: float = Field(
        default=30.0, gt=0, le=3600, description="seconds until the step of a silent worker is free again"
    )
    lost_after_s: float = Field(
        default=45.0, gt=0, le=3600, description="seconds until a message that nobody works on counts as lost"
    )
    reconcile_every_s: float = Field(
        default=20.0, gt=0, le=3600, description="seconds between looks for lost work"
    )
    time_limit_s: int = Field(
        default=6 * 3600, ge=10, le=7 * 86_400, description="seconds until a step is killed"
    )
    soft_shutdown_s: float = Field(
        default=20.0, ge=0, le=3600, description="seconds that a stopping worker lets its step finish"
    )
    keep_records_days: float = Field(
        default=30.0, gt=0, le=3650, description="days that the queue remembers ended jobs"
    )
    health_file: Path | None = Field(
        default=None, description="file that a living worker or beat touches every few seconds"
    )
    webhook_url: SecretStr | None = Field(default=None, description="where to POST that a job has ended")
    webhook_secret_file: Path | None = Field(
        default=None, description="file with the key that signs the body of the webhook"
    )
    prices: Prices = Prices()

    @field_validator("webhook_url")
    @classmethod
    def _over_http(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("should start with http:// or https://")
        return url

    @field_validator("weights_dirs", mode="before")
    @classmethod
    def _folders(cls, given: Any) -> Any:
        """Accept `/a:/b`, as PATH has it, and a JSON list."""
        if not isinstance(given, str):
            return given
        return json.loads(given) if given.startswith("[") else [p for p in given.split(os.pathsep) if p]

    @field_validator("outputs", "inputs", mode="before")
    @classmethod
    def _locations(cls, given: Any) -> Any:
        """Accept `s3://a/, s3://b/c/`, and JSON: {url, connection}, or a list of these and of URLs. No relative path."""
        places = given
        if isinstance(given, str):
            places = json.loads(given) if given[:1] in {"[", "{"} else re.findall(r"[^,\s]+", given)
        places = [places] if isinstance(places, dict) else places
        for place in places:
            url = place.get("url") if isinstance(place, dict) else place
            if isinstance(url, str) and not url.startswith(("/", "s3:", "file:")):
                raise ValueError(f"should be s3://bucket/prefix/ or an absolute path (got {url!r})")
        return places


def load_settings(**overrides: Any) -> Settings:
    """Read the settings once.

    Raises:
        JobFailed: a variable or the file says something that cannot be; the text names the place.
    """
    try:
        return read_settings(Settings, **overrides)
    except SettingsWrong as error:
        raise JobFailed(str(error)) from error
