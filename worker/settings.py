"""Settings of this machine: FRAMESIFT_* variables and the TOML file in FRAMESIFT_CONFIG; never from a job."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import gettempdir
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from worker.device import DeviceChoice
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
            return self.secret_access_key_file.read_text().strip()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a text"
            raise JobFailed(f"secret_access_key_file: {self.secret_access_key_file}: {reason}") from error

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


class Settings(BaseSettings):
    """Everything a deployment may set. Environment variables win over the file."""

    model_config = SettingsConfigDict(
        env_prefix="FRAMESIFT_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,  # it may be a secret
    )

    connections: dict[str, Connection] = Field(default={}, description="named S3 endpoints")
    device: DeviceChoice = "auto"
    limits: Limits = Limits()
    batch_size: int = Field(default=32, ge=1, le=4096, description="images in one model call")
    chunk_sources: int = Field(default=256, ge=1, le=65536, description="sources in a chunk, about")
    decode_processes: int = Field(default=0, ge=0, le=512, description="decoding processes; 0: one a core")
    fetch_threads: int = Field(default=16, ge=1, le=512, description="objects downloaded at once")
    inflight_bytes: int = Field(
        default=512 * 2**20, ge=2**20, description="bytes of undecoded objects in memory"
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

    @field_validator("weights_dirs", mode="before")
    @classmethod
    def _folders(cls, given: Any) -> Any:
        """Accept `/a:/b`, as PATH has it, and a JSON list."""
        if not isinstance(given, str):
            return given
        return json.loads(given) if given.startswith("[") else [p for p in given.split(os.pathsep) if p]

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order of sources: arguments, environment, file."""
        del dotenv_settings, file_secret_settings
        config = os.environ.get("FRAMESIFT_CONFIG")
        toml = (TomlConfigSettingsSource(settings_cls, Path(config)),) if config else ()
        return (init_settings, env_settings, *toml)


def load_settings(**overrides: Any) -> Settings:
    """Read the settings once.

    Raises:
        JobFailed: a variable or the file says something that cannot be; the text names the place.
    """
    config = os.environ.get("FRAMESIFT_CONFIG")
    if config and not Path(config).is_file():
        raise JobFailed(f"FRAMESIFT_CONFIG: no such file: {config}")
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise JobFailed(_described(error.errors()[0], file=config, arguments=overrides)) from error
    except OSError as error:
        raise JobFailed(f"FRAMESIFT_CONFIG: {config}: {error.strerror}") from error
    except ValueError as error:  # not TOML, or a variable that is not JSON
        raise JobFailed(f"{config or 'settings'}: {error}") from error


def _described(error: ErrorDetails, *, file: str | None, arguments: Mapping[str, object]) -> str:
    """Return one line: the variable or the key, what is wrong and, unless it may be a secret, the value."""
    path = [str(part) for part in error["loc"]]
    variable = f"FRAMESIFT_{'__'.join(path).upper()}"
    if path[0] in arguments:
        where = f"settings: {'.'.join(path)}"
    elif variable in {name.upper() for name in os.environ}:
        where = variable
    else:
        where = f"{file or 'settings'}: {'.'.join(path)}"
    if error["type"] == "extra_forbidden":
        return f"{where}: no such setting; choose from {', '.join(sorted(_choices(path[:-1])))}"
    shown = "" if path[0] == "connections" else f" (got {error['input']!r})"
    return f"{where}: {error['msg']}{shown}"


def _choices(path: list[str]) -> list[str]:
    """Return the names that are known where `path` leads."""
    match path:
        case ["limits"]:
            return list(Limits.model_fields)
        case ["connections", _]:
            return list(Connection.model_fields)
        case _:
            return list(Settings.model_fields)
