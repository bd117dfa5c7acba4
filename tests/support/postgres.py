"""A real PostgreSQL server of the system's, started for the tests in a temporary folder and ended with them."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

START_S = 180


def find_binaries() -> Path | None:
    """The folder of the newest `initdb` and `postgres` here, or None. Debian keeps them off the search path."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    folders.sort(key=lambda folder: [int(number) for number in re.findall(r"\d+", folder.parent.name)])
    found = shutil.which("initdb")
    folders += [Path(found).resolve().parent] if found else []
    return next((folder for folder in reversed(folders) if (folder / "postgres").exists()), None)


def _account() -> dict[str, object]:
    """Who runs the server: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise RuntimeError("PostgreSQL does not run as root, and there is no account postgres or nobody")


class PostgresError(RuntimeError):
    """The server did not come up; the text is its own."""


@contextlib.contextmanager
def serving(binaries: Path) -> Iterator[str]:
    """Runs a server that listens on a socket file only; gives its address without a database name.

    Raises:
        PostgresError: It did not come up.
    """
    account = _account()
    folder = Path(tempfile.mkdtemp(prefix="dermaloop-pg-"))
    try:
        if account:
            os.chown(folder, account["user"], account["group"])
        data = folder / "data"
        run = {"cwd": folder, "env": {"LC_ALL": "C", "PATH": os.defpath, "TZ": "UTC"}, **account}
        made = subprocess.run(
            [
                binaries / "initdb",
                "--pgdata",
                data,
                "--username=tester",
                "--auth=trust",
                "--encoding=UTF8",
                "--no-sync",
            ],
            capture_output=True,
            text=True,
            check=False,
            **run,
        )
        if made.returncode:
            raise PostgresError(made.stderr)
        options = ["listen_addresses=", f"unix_socket_directories={folder}", "fsync=off", "max_connections=60"]
        with (folder / "log").open("w+") as log:
            server = subprocess.Popen(
                [binaries / "postgres", "-D", data, *(part for option in options for part in ("-c", option))],
                stdout=log,
                stderr=subprocess.STDOUT,
                **run,
            )
            try:
                _wait(server, binaries, folder, log)
                yield f"postgresql+psycopg://tester@/{{name}}?host={folder}"
            finally:
                server.send_signal(signal.SIGINT)  # "fast shutdown": ends connections, then itself
                server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(server: subprocess.Popen[bytes], binaries: Path, folder: Path, log) -> None:
    end = time.monotonic() + START_S
    ready = [binaries / "pg_isready", "-q", "-h", folder, "-U", "tester", "-d", "postgres"]
    while subprocess.run(ready, check=False).returncode:
        if server.poll() is not None or time.monotonic() > end:
            log.seek(0)
            raise PostgresError(log.read())
        time.sleep(0.05)
