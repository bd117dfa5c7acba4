"""The server's settings: the only place of the project that reads the environment.

Every field can be set by a variable `DERMALOOP_<NAME>`; `dermaloop serve` overrides a few by option. Refuses to know
what a setting is used for beyond its description. Nothing is read at import: `Settings()` reads.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from dermaloop.core.errors import DermaloopError
from dermaloop.core.image import DEFAULT_LIMITS

PREFIX = "DERMALOOP_"
_MEBIBYTE = 1024 * 1024


class SettingsError(DermaloopError):
    """A setting has a value that the server cannot run with."""

    code = "setting"


class Settings(BaseSettings):
    """Settings of the server, from `DERMALOOP_*` variables or from the caller."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    bundle: Path | None = Field(default=None, description="The bundle to serve; without it, the one that ships.")
    host: str = Field(default="127.0.0.1", description="Address to listen on; a loopback address.")
    port: int | None = Field(
        default=None, ge=1, le=65535, description="Port to listen on; without it, 8000 or the next free one."
    )
    operating_point: str | None = Field(
        default=None, description="Operating point of the bundle to decide by; without it, the bundle's default."
    )
    threads: int | None = Field(default=None, ge=1, description="Cores that one assessment may use; without it, all.")
    workers: int = Field(default=1, ge=1, le=64, description="Assessments that run at the same time.")
    max_waiting: int = Field(
        default=8,
        ge=0,
        le=1024,
        description="Requests that may wait for their turn; the next one is told to come back.",
    )
    max_file_bytes: int = Field(
        default=32 * _MEBIBYTE, ge=1024, le=DEFAULT_LIMITS.max_bytes, description="Largest picture file, in bytes."
    )
    max_files: int = Field(default=20, ge=1, le=1000, description="Most picture files in one request.")
    max_total_bytes: int = Field(default=128 * _MEBIBYTE, ge=1024, description="Largest request, in bytes.")
    upload_timeout_s: float = Field(default=60.0, gt=0, description="Longest time to receive a request, in seconds.")
    classify_timeout_s: float = Field(
        default=60.0, gt=0, description="Longest time to wait for and to do an assessment, in seconds."
    )
    picture_side_px: int = Field(
        default=1000, ge=100, le=4000, description="Longest side of the picture shown on the page, in pixels."
    )


def read_settings(**given: object) -> Settings:
    """The settings from the environment, overridden by what the caller gives (None means not given).

    Args:
        given: Values by field name, e.g. from command-line options.

    Raises:
        SettingsError: A value cannot be used; the variable or option is named.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(**chosen)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        where = f"--{name.replace('_', '-')}" if name in chosen else f"{PREFIX}{name.upper()}"
        raise SettingsError(
            f"{first['input']!r} cannot be used: {first['msg'].lower()}",
            where=where,
            way_out=f"It is: {Settings.model_fields[name].description}",
        ) from error


def require_loopback(host: str) -> None:
    """Refuses to serve anything but this computer: there are no accounts yet, and pictures of patients are sent here.

    Raises:
        SettingsError: `host` is reachable from elsewhere.
    """
    if host == "localhost":
        return
    try:
        if ipaddress.ip_address(host).is_loopback:
            return
    except ValueError:
        pass
    raise SettingsError(
        f"{host!r} can be reached from other computers, and the server has no accounts yet",
        where="--host",
        way_out="Leave --host out, or use 127.0.0.1, ::1 or localhost. To reach it from elsewhere, use an SSH tunnel.",
    )


def describe() -> list[tuple[str, str, str]]:
    """Every environment variable as (name, default in words, description), for the help and the documentation."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = "not set" if field.default is None else str(field.default)
        rows.append((PREFIX + name.upper(), default, field.description or ""))
    return rows
