"""A real S3 server for the tests: moto, in a process of its own on loopback, ended by its id."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

START_S = 60


@contextlib.contextmanager
def serving_s3() -> Iterator[str]:
    """Runs the server on a free port; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + START_S
        while True:
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                urllib.request.urlopen(f"{address}/moto-api/", timeout=5).close()
                break
            if process.poll() is not None or time.monotonic() > end:
                process.kill()
                raise RuntimeError(process.communicate()[1].decode())
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.communicate()


def s3_options(address: str) -> dict[str, object]:
    """What s3fs needs to talk to the server."""
    return {"endpoint_url": address, "key": "testing", "secret": "testing"}
