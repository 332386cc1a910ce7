"""Settings of this machine, and how they are read: FRAMESIFT_* variables and the TOML file in FRAMESIFT_CONFIG; never a job."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from jobs.errors import SettingsWrong


class QueueSettings(BaseSettings):
    """What a client needs to reach the queue. Environment variables win over the file, whose other keys are the worker's."""

    model_config = SettingsConfigDict(
        env_prefix="FRAMESIFT_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # it may be a secret
    )

    redis_url: SecretStr | None = Field(
        default=None, description="redis://[user[:password]@]host:port/db, or rediss:// for TLS"
    )
    redis_password_file: Path | None = Field(
        default=None, description="file with the password, instead of one in the URL"
    )
    redis_ca_file: Path | None = Field(
        default=None, description="certificates that the server's is checked against; none: the system's"
    )
    redis_prefix: str = Field(
        default="framesift:",
        pattern=r"^[A-Za-z0-9_.:-]{1,64}$",
        description="what every key in Redis starts with; one a deployment",
    )

    @field_validator("redis_url")
    @classmethod
    def _a_redis_url(cls, url: SecretStr | None) -> SecretStr | None:
        """Refuse what cannot be one, without a word of it: a part may be the password."""
        if url is None:
            return None
        text = url.get_secret_value()
        if not text.startswith(("redis://", "rediss://")):
            raise ValueError("should start with redis:// or rediss://")
        if not _is_address(text):
            raise ValueError(
                "should be redis://[user[:password]@]host[:port][/number], with '/', '@' and ':' of a password written"
                " as %2F, %40 and %3A"
            )
        return url

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


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        return False
    database = re.fullmatch(r"(/[0-9]{0,4})?", parts.path)
    return bool(parts.hostname and has_port and database) and not parts.query and not parts.fragment


S = TypeVar("S", bound=QueueSettings)


def read_settings(kind: type[S], **overrides: Any) -> S:
    """Read settings of a kind once.

    Raises:
        SettingsWrong: a variable or the file says something that cannot be; the text names the place.
    """
    config = os.environ.get("FRAMESIFT_CONFIG")
    if config and not Path(config).is_file():
        raise SettingsWrong(f"FRAMESIFT_CONFIG: no such file: {config}")
    try:
        return kind(**overrides)
    except ValidationError as error:
        raise SettingsWrong(_described(kind, error.errors()[0], file=config, arguments=overrides)) from error
    except OSError as error:
        raise SettingsWrong(f"FRAMESIFT_CONFIG: {config}: {error.strerror}") from error
    except ValueError as error:  # not TOML, or a variable that is not JSON
        raise SettingsWrong(f"{config or 'settings'}: {error}") from error


def secret_from(file: Path, *, name: str) -> str:
    """Return the secret that a file holds, without white space around it.

    Raises:
        SettingsWrong: the file cannot be read; `name` is the setting that names it.
    """
    try:
        return file.read_text().strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text"
        raise SettingsWrong(f"{name}: {file}: {reason}") from error


def _described(
    kind: type[QueueSettings], error: ErrorDetails, *, file: str | None, arguments: Mapping[str, object]
) -> str:
    """Return one line: the variable or the key, what is wrong and, unless it may be a secret, the value."""
    path = [str(part) for part in error["loc"]]
    variables = {f"FRAMESIFT_{'__'.join(path[:end]).upper()}" for end in range(1, len(path) + 1)}
    variable = max(variables & {name.upper() for name in os.environ}, key=len, default=None)
    if path[0] in arguments:
        where = f"settings: {'.'.join(path)}"
    elif variable is not None:
        where = variable
    else:
        where = f"{file or 'settings'}: {'.'.join(path)}"
    if error["type"] == "extra_forbidden":
        return f"{where}: no such setting; choose from {', '.join(sorted(_choices(kind, path[:-1])))}"
    field = kind.model_fields.get(path[0])
    shown = "" if field is None or _may_be_secret(field.annotation) else f" (got {error['input']!r})"
    return f"{where}: {error['msg'].removeprefix('Value error, ')}{shown}"


def _choices(kind: type[BaseModel], path: list[str]) -> list[str]:
    """Return the names that are known where `path` leads."""
    for name in path:
        inner = kind.model_fields[name].annotation if name in kind.model_fields else None
        models = [one for one in (inner, *get_args(inner)) if _is_model(one)]
        kind = models[0] if models else kind
    return list(kind.model_fields)


def _may_be_secret(annotation: Any) -> bool:
    """Tell whether a setting is a secret, or holds one."""
    if annotation is SecretStr:
        return True
    inside = [field.annotation for field in annotation.model_fields.values()] if _is_model(annotation) else []
    return any(_may_be_secret(one) for one in (*get_args(annotation), *inside))


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
