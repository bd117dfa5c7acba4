"""The command line as processes that start at once: forked from one that has imported everything already.

Each is a real process of its own, to be killed or waited for; only the second that Python takes to import a server is
paid once instead of fifty times.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PATIENCE_S = 180
"""No test depends on how busy the machine is; this lets one fail instead of hang."""
_PARENT = """
import json, os, sys, traceback
import alembic.command, alembic.runtime.migration, alembic.script, uvicorn
import dermaloop.cli.audit, dermaloop.cli.serve, dermaloop.cli.store
import dermaloop.cases.audit_verify, dermaloop.cases.backup, dermaloop.cases.check
import dermaloop.web.app, dermaloop.web.protocol, dermaloop.web.serving
from dermaloop.cli import main
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if child == 0:
        out = os.open(asked["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1), os.dup2(out, 2)
        sys.argv, status = ["dermaloop", *asked["arguments"]], 0
        try:
            main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except BaseException:
            traceback.print_exc()
            status = 70
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(status)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass
class Forked:
    """One command that runs, or has ended."""

    pid: int
    out: Path
    parent: Parent

    def said(self) -> str:
        """What it has printed so far."""
        return self.out.read_text(errors="replace") if self.out.exists() else ""

    def wait_for(self, text: str) -> str:
        """Waits until it has printed a line with this text, and gives the line."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            found = [line for line in self.said().splitlines(keepends=True) if text in line and line.endswith("\n")]
            if found:
                return found[0].strip()
            time.sleep(0.01)
        raise AssertionError(f"it never said {text!r}: {self.said()}")

    def kill(self) -> None:
        """Ends it without warning; what it was doing is not finished."""
        os.kill(self.pid, signal.SIGKILL)
        assert self.status() == -signal.SIGKILL, f"it had ended before: {self.said()}"

    def status(self) -> int:
        """Its exit status, when it has ended."""
        return int(self.parent.line())


class Parent:
    """The process that forks; one child at a time."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process, self._folder, self._number = process, folder, 0

    def line(self) -> str:
        """The next thing it says."""
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def start(self, *arguments: str) -> Forked:
        """Starts `dermaloop ARGUMENTS`."""
        assert self._process.stdin is not None
        self._number += 1
        out = self._folder / f"said-{self._number}.txt"
        self._process.stdin.write(json.dumps({"arguments": arguments, "out": str(out)}) + "\n")
        self._process.stdin.flush()
        return Forked(int(self.line()), out, self)

    def call(self, *arguments: str) -> str:
        """Runs a command to its end; gives what it printed, and fails if it failed."""
        running = self.start(*arguments)
        status = running.status()
        assert status == 0, f"dermaloop {' '.join(arguments)}: status {status}: {running.said()}"
        return running.said()


@contextmanager
def forking(folder: Path, **environment: str) -> Iterator[Parent]:
    """Runs the parent.

    Args:
        folder: For what the commands print.
        environment: Beyond this process's own.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DERMALOOP_")}
    given = {**kept, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1", **environment}
    process = subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=given
    )
    try:
        yield Parent(process, folder)
    finally:
        process.communicate()
