"""The server's settings: the only place of the project that reads the environment.

Every field can be set by a variable `DERMALOOP_<NAME>`; `dermaloop serve` overrides a few by option. Refuses to know
what a setting is used for beyond its description. Nothing is read at import: `Settings()` reads.
"""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from pathlib import Path

from platformdirs import user_data_path
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from dermaloop.cases.sign_ins import Lifetime
from dermaloop.core.errors import DermaloopError
from dermaloop.core.image import DEFAULT_LIMITS
from dermaloop.web.logs import Kind
from dermaloop.web.watch_settings import WatchSettings

PREFIX = "DERMALOOP_"
_MEBIBYTE = 1024 * 1024


class SettingsError(DermaloopError):
    """A setting has a value that the server cannot run with."""

    code = "setting"


class Settings(WatchSettings, BaseSettings):
    """Settings of the server, from `DERMALOOP_*` variables or from the caller."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    bundle: Path | None = Field(
        default=None, description="The bundle to serve, whatever the registry says; without it, its champion."
    )
    store: Path | None = Field(
        default=None, description="Folder for everything that is kept; without it, the user's data folder of dermaloop."
    )
    database_url: str | None = Field(
        default=None,
        description="Address of the database; without it, SQLite in the store. "
        "A department's: postgresql+psycopg://USER:PASSWORD@HOST/NAME.",
    )
    images_url: str | None = Field(
        default=None,
        description="Where pictures of records are kept, a folder or s3://BUCKET/PATH; without it, in the store.",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on; beyond loopback, see docs/accounts.md.")
    port: int | None = Field(
        default=None, ge=1, le=65535, description="Port to listen on; without it, 8000 or the next free one."
    )
    names: str = Field(
        default="",
        description="Host names under which browsers reach the server, between commas; needed beyond loopback.",
    )
    tls_certificate: Path | None = Field(default=None, description="Certificate chain to serve https by, PEM.")
    tls_key: Path | None = Field(default=None, description="The certificate's private key, PEM.")
    behind_proxy: str = Field(
        default="",
        description="Addresses, between commas, of a proxy in front that ends TLS; it is believed who the client is.",
    )
    screening_days: int | None = Field(
        default=None,
        ge=1,
        le=36500,
        description="A screening list is deleted this many days after its last picture came; without it, by hand.",
    )
    session_idle_minutes: int = Field(
        default=120, ge=1, le=24 * 60, description="A browser is signed out after this time without use, in minutes."
    )
    session_hours: float = Field(
        default=12.0, gt=0, le=24 * 30, description="A browser is signed out after this time in any case, in hours."
    )
    champion_poll_s: float = Field(
        default=2.0, ge=0.1, le=3600, description="How often to look for another champion, in seconds."
    )
    operating_point: str | None = Field(
        default=None, description="Operating point of the bundle to decide by; without it, the bundle's default."
    )
    threads: int | None = Field(default=None, ge=1, description="Cores that one assessment may use; without it, all.")
    workers: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="Assessments that run at the same time; without it, one per core, or two per process.",
    )
    processes: int = Field(
        default=0,
        ge=0,
        le=64,
        description="Processes beside the server's that assess while there are several requests; best one per core "
        "where many come at the same time. 0: none.",
    )
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
    log: Kind = Field(
        default="warnings",
        description="What is written to standard error: warnings; or text or json, which hold every request too.",
    )
    shutdown_timeout_s: float = Field(
        default=60.0, ge=0, description="Longest time that a stopping server gives to requests in hand, in seconds."
    )
    picture_side_px: int = Field(
        default=1000, ge=100, le=4000, description="Longest side of the picture shown on the page, in pixels."
    )

    @property
    def store_folder(self) -> Path:
        """Where everything is kept that has no address of its own."""
        return self.store or user_data_path("dermaloop", appauthor=False)

    @property
    def lifetime(self) -> Lifetime:
        """How long a browser stays signed in."""
        return Lifetime(timedelta(minutes=self.session_idle_minutes), timedelta(hours=self.session_hours))

    @property
    def secure(self) -> bool:
        """Whether browsers reach the server by TLS only."""
        return bool(self.tls_certificate or self.behind_proxy)

    @property
    def host_names(self) -> tuple[str, ...]:
        """The names of `names`."""
        return _listed(self.names)

    @property
    def proxies(self) -> tuple[str, ...]:
        """The addresses of `behind_proxy`."""
        return _listed(self.behind_proxy)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


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


def is_loopback(host: str) -> bool:
    """Whether only this computer can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_safe(settings: Settings, *, admin_has_password: bool) -> None:
    """Refuses to listen where patients' pictures or passwords would be open to others.

    Args:
        settings: Where and how to listen.
        admin_has_password: Whether an administrator can sign in by password.

    Raises:
        SettingsError: With what is missing.
    """
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise SettingsError(
            "a certificate and its key belong together, and one of them is not named",
            where="--tls-certificate" if settings.tls_key else "--tls-key",
            way_out="Name both, or none.",
        )
    if is_loopback(settings.host):
        return
    where, host = "--host", settings.host
    if not admin_has_password:
        raise SettingsError(
            f"{host!r} can be reached from other computers, and no administrator has a password yet",
            where=where,
            way_out="Start on this computer first ('dermaloop serve') and set one, or use 'dermaloop account create'.",
        )
    if not settings.secure:
        raise SettingsError(
            f"{host!r} can be reached from other computers, and passwords would be sent in the clear",
            where=where,
            way_out="Name --tls-certificate and --tls-key, or --behind-proxy ADDRESS for a proxy that ends TLS.",
        )
    if not settings.host_names:
        raise SettingsError(
            f"{host!r} can be reached from other computers, and it is not said under which name",
            where=where,
            way_out="Name it as the certificate does: --name clinic.example.org.",
        )


def describe() -> list[tuple[str, str, str]]:
    """Every environment variable as (name, default in words, description), for the help and the documentation."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = "not set" if field.default in (None, "") else str(field.default)
        rows.append((PREFIX + name.upper(), default, field.description or ""))
    return rows
