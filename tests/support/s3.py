"""A real S3 server for the tests: moto, in a process of its own on loopback, ended by its id."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import IO

START_S = 60


@contextlib.contextmanager
def serving_s3() -> Iterator[str]:
    """Runs the server on a free port; gives its address."""
    # It logs each request: a file holds them all, where a pipe that nobody reads would fill and stop the server.
    with tempfile.TemporaryFile() as log:
        process, address = _start(log)
        try:
            yield address
        finally:
            process.terminate()
            process.wait()


def _start(log: IO[bytes], tries: int = 5) -> tuple[subprocess.Popen[bytes], str]:
    """The server and its address. Another program can take the port between its being found free and its use."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=log,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(process, address, log)
    except RuntimeError:
        process.wait()
        if tries <= 1:
            raise
        return _start(log, tries - 1)
    return process, address


def _wait(process: subprocess.Popen[bytes], address: str, log: IO[bytes]) -> None:
    """Returns when the server answers."""
    end = time.monotonic() + START_S
    while True:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"{address}/moto-api/", timeout=5).close()
            return
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            log.seek(0)
            raise RuntimeError(log.read().decode())
        time.sleep(0.1)


def s3_options(address: str) -> dict[str, object]:
    """What s3fs needs to talk to the server."""
    return {"endpoint_url": address, "key": "testing", "secret": "testing"}
