"""`dermaloop serve`: the page and the API on this computer."""

from __future__ import annotations

import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from dermaloop.core.errors import DermaloopError

if TYPE_CHECKING:
    from dermaloop.web.settings import Settings

FIRST_PORT = 8000
_TRIED_PORTS = 100
_GRACE_S = 10

app = typer.Typer(add_completion=False)


class ServeError(DermaloopError):
    """The server cannot listen where it was told to."""

    code = "serve"


@app.command()
def serve(
    host: str | None = typer.Option(None, help="Loopback address to listen on. [default: 127.0.0.1]"),
    port: int | None = typer.Option(None, min=1, max=65535, help="Port. [default: 8000, or the next free one]"),
    bundle: Path | None = typer.Option(None, help="Bundle to serve. [default: the one that ships]"),
    operating_point: str | None = typer.Option(None, help="Operating point to decide by. [default: the bundle's]"),
) -> None:
    """Serve the web page and the API to this computer, until Ctrl-C.

    Further settings are read from the environment: DERMALOOP_MAX_FILE_BYTES and others, see docs/web.md.
    """
    from dermaloop.core.bundle import open_bundle
    from dermaloop.inference.classifier import Classifier
    from dermaloop.inference.default import default_bundle_path
    from dermaloop.web.app import create_app
    from dermaloop.web.settings import read_settings, require_loopback

    settings = read_settings(host=host, port=port, bundle=bundle, operating_point=operating_point)
    require_loopback(settings.host)
    opened = open_bundle(settings.bundle or default_bundle_path())
    classifier = Classifier(opened, threads=settings.threads, operating_point=settings.operating_point)
    with listen(settings) as listener:
        run(create_app(settings, classifier), listener, settings.host)


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


def link(listener: socket.socket, host: str) -> str:
    """The address to open in a browser."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}/"


def run(application: object, listener: socket.socket, host: str) -> None:
    """Serves until SIGINT or SIGTERM, says the link once it answers, and ends without a trace of either.

    Raises:
        ServeError: The application did not start.
    """
    import uvicorn

    console = Console(highlight=False, soft_wrap=True)

    class _Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                text = f"dermaloop is ready: {address}"
                console.print(f"{text}  (Ctrl-C to stop)" if console.is_terminal else text)

    address = link(listener, host)
    config = uvicorn.Config(
        application,  # type: ignore[arg-type]
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_S,
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
