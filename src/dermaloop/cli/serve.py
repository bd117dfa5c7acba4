"""`dermaloop serve`: the page and the API, on this computer or behind TLS for others."""

from __future__ import annotations

import math
import signal
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from dermaloop.core.errors import DermaloopError

if TYPE_CHECKING:
    from dermaloop.cases.database import Database
    from dermaloop.web.settings import Settings

FIRST_PORT = 8000
_TRIED_PORTS = 100
_MOST_CONNECTIONS = 512

app = typer.Typer(add_completion=False)


class ServeError(DermaloopError):
    """The server cannot listen where it was told to."""

    code = "serve"


@app.command()
def serve(
    *,
    host: str | None = typer.Option(None, help="Address to listen on. [default: 127.0.0.1]"),
    port: int | None = typer.Option(None, min=1, max=65535, help="Port. [default: 8000, or the next free one]"),
    store: Path | None = typer.Option(None, help="Folder of the records. [default: the user's data folder]"),
    bundle: Path | None = typer.Option(None, help="Bundle to serve. [default: the registry's champion]"),
    operating_point: str | None = typer.Option(None, help="Operating point to decide by. [default: the bundle's]"),
    name: list[str] | None = typer.Option(
        None, help="Host name under which browsers reach the server; needed beyond loopback, may be repeated."
    ),
    tls_certificate: Path | None = typer.Option(None, help="Certificate chain to serve https by, PEM."),
    tls_key: Path | None = typer.Option(None, help="The certificate's private key, PEM."),
    behind_proxy: list[str] | None = typer.Option(
        None, help="Address of a proxy in front that ends TLS, which is believed who the client is; may be repeated."
    ),
) -> None:
    """Serve the web page and the API, until Ctrl-C.

    Without options, to this computer only; the first time, a link is printed that signs you in once. Further settings
    are read from the environment: DERMALOOP_MAX_FILE_BYTES and others, see docs/operations.md.
    """
    from dermaloop.cases import account_passwords
    from dermaloop.cases.store import open_store
    from dermaloop.cli.noted import noted
    from dermaloop.core.bundle import open_bundle
    from dermaloop.web import logs, serving
    from dermaloop.web.app import create_app
    from dermaloop.web.settings import read_settings, require_safe

    settings = read_settings(
        host=host,
        port=port,
        store=store,
        bundle=bundle,
        operating_point=operating_point,
        names=",".join(name) if name else None,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
        behind_proxy=",".join(behind_proxy) if behind_proxy else None,
    )
    logs.set_up(settings.log)
    require_certificate(settings)
    if settings.bundle is not None:
        open_bundle(settings.bundle)  # what cannot be served is told before a store is made
    held = open_store(settings.store_folder, database_url=settings.database_url, images_url=settings.images_url)
    try:
        with held.database.read() as transaction:
            require_safe(settings, admin_has_password=account_passwords.an_admin_has_a_password(transaction))
        with listen(settings) as listener, noted(held.folder, link(listener, settings)):
            classifier, served = serving.start(held, settings)
            run(create_app(settings, classifier, held, served=served), listener, settings, first_path(held.database))
    finally:
        held.close()


def first_path(database: Database) -> str:
    """Where to begin: a link that signs the owner in, while nobody has a password; then the first page."""
    from dermaloop.cases import account_passwords, links
    from dermaloop.cases.actor import system

    with database.begin() as transaction:
        if account_passwords.someone_has_a_password(transaction):
            return ""
        return f"enter/{links.for_owner(transaction, system('serve'))}"


def require_certificate(settings: Settings) -> None:
    """Refuses a certificate that no browser could be served by, before anything else is done.

    Raises:
        ServeError: The files cannot be read, or do not belong together.
    """
    if settings.tls_certificate is None or settings.tls_key is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_certificate, settings.tls_key)
    except OSError as error:  # an SSLError is one too
        raise ServeError(
            f"certificate and key cannot be used ({(error.strerror or str(error)).lower()})",
            where=f"{settings.tls_certificate}, {settings.tls_key}",
            way_out="Both must be PEM files, the key without a password, and belong together.",
        ) from error


def listen(settings: Settings) -> socket.socket:
    """A listening socket at the settings' address; without a port, the first free one from 8000 on.

    Raises:
        ServeError: The port is taken, or the address cannot be listened on.
    """
    ports: Sequence[int] = [settings.port] if settings.port else range(FIRST_PORT, FIRST_PORT + _TRIED_PORTS)
    error: OSError | None = None
    for port in ports:
        try:
            return _bind(settings.host, port)
        except OSError as failed:
            error = failed
    where = f"{settings.host}, port {ports[0]}" + (f" to {ports[-1]}" if len(ports) > 1 else "")
    reason = (error.strerror if error else None) or str(error)
    raise ServeError(
        f"the server cannot listen here ({reason.lower()})", where=where, way_out="Choose another one with --port."
    ) from error


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def link(listener: socket.socket, settings: Settings) -> str:
    """The address to open in a browser, with its last slash."""
    port = listener.getsockname()[1]
    if settings.proxies:
        return f"https://{settings.host_names[0] if settings.host_names else settings.host}/"
    host = settings.host_names[0] if settings.host_names else settings.host
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.secure else 'http'}://{shown}:{port}/"


def run(application: object, listener: socket.socket, settings: Settings, path: str = "") -> None:
    """Serves until SIGINT or SIGTERM, says the link once it answers, and ends without a trace of either.

    Requests in hand are finished before it ends; a second signal ends it at once.

    Args:
        application: To be served.
        listener: Where.
        settings: For TLS, and the proxy to believe.
        path: Of the link, after the slash.

    Raises:
        ServeError: The application did not start.
    """
    import uvicorn

    from dermaloop.web.protocol import LimitedProtocol

    console = Console(highlight=False, soft_wrap=True)

    class _Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                text = f"dermaloop is ready: {address}{path}"
                console.print(f"{text}  (Ctrl-C to stop)" if console.is_terminal else text, markup=False)

    address = link(listener, settings)
    config = uvicorn.Config(
        application,  # type: ignore[arg-type]
        http=LimitedProtocol,
        ws="none",
        log_config=None,
        log_level="warning",
        access_log=False,  # ours names routes, not addresses: `web.logs`
        server_header=False,
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=list(settings.proxies),
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=math.ceil(settings.shutdown_timeout_s),
    )
    # The server restores these handlers when it has stopped and raises the signal again: stopping is then no error.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    try:
        _Server(config).run(sockets=[listener])
    except SystemExit as error:  # how the server library says that the application did not start
        raise ServeError(
            "the application could not start",
            where=address,
            way_out="The lines above say why; a bundle made by another version of dermaloop is the likeliest cause.",
        ) from error
    if console.is_terminal:
        console.print("Stopped.")
