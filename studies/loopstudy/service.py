"""The running service of the study: one `dermaloop serve` on loopback, started and ended by whoever asks for it.

Owns the process. Refuses to know what is asked of it. Killed with the study or before it, nothing is left behind: the
server ends when its standard input does (`loopstudy.server`), and its store is as whole as after any kill.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dermaloop.web.settings import PREFIX

_STUDIES = Path(__file__).resolve().parents[1]
_READY = "dermaloop is ready: "
_ENDS_S = 70.0
"""A server gives requests in hand a minute (`shutdown_timeout_s`)."""
SETTINGS = {"THREADS": "1", "WORKERS": "1", "WATCH_HOURS": "0"}
"""One core for an answer, as for all else in the study, so that its last digits are the same everywhere; and no look by
the clock, which shows the study's months as minutes (`loopstudy.watching` looks by the days that they stand for)."""


class ServiceError(Exception):
    """The server did not start, or does not do what the study rests on."""


@contextmanager
def running(store: Path, log: Path) -> Iterator[str]:
    """Serves a store on this computer, on a port that is free; gives the address.

    Args:
        store: Its folder.
        log: What the server says of trouble is added to this file.

    Raises:
        ServiceError: It did not start.
    """
    # Nothing of the user's own server: its settings could name another database.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environment |= {f"{PREFIX}{name}": value for name, value in SETTINGS.items()}
    paths = [str(_STUDIES), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    command = [sys.executable, "-m", "loopstudy.server", "--store", str(store)]
    with log.open("ab") as trouble:
        process = subprocess.Popen(  # noqa: S603 - our own
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=trouble, env=environment, text=True
        )
    try:
        yield _address(process, log)
    finally:
        end(process)


def _address(process: subprocess.Popen[str], log: Path) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(_READY):
            return line.removeprefix(_READY).split()[0]
    raise ServiceError(f"the server did not start; {log} says why:\n{log.read_text(errors='replace')[-2000:]}")


def end(process: subprocess.Popen[str]) -> None:
    """Ends a server: what it has in hand is finished, and if that takes too long it is not."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.terminate()  # a process that the study has forked meanwhile may hold the other end open
    try:
        process.wait(_ENDS_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
