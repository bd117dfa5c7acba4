"""Entry point of the command line: finds the command's group, turns our errors into one line and an exit status."""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import os
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

import typer
from rich.console import Console
from typer.core import TyperGroup

from dermaloop import __version__
from dermaloop.cli.terminal import shown
from dermaloop.core.errors import DermaloopError

COMMANDS: dict[str, tuple[str, str]] = {
    "curate": ("dermaloop.cli.curate", "Import, check, split and report datasets."),
    "train": ("dermaloop.cli.train", "Train a network by a recipe and package it as a bundle."),
    "evaluate": ("dermaloop.cli.evaluate", "Measure a bundle on a manifest; write report and JSON."),
    "classify": ("dermaloop.cli.classify", "Classify pictures of skin lesions."),
    "bundle": ("dermaloop.cli.bundle", "Show, verify or convert a bundle."),
    "serve": ("dermaloop.cli.serve", "Serve the web page and the API."),
    "watch": ("dermaloop.cli.watch", "Look for drift in what the service sees and answers."),
    "registry": ("dermaloop.cli.registry", "Show, compare, promote, roll back and export models."),
    "store": ("dermaloop.cli.store", "Check, back up and restore the records."),
    "audit": ("dermaloop.cli.audit", "Verify and export the audit log."),
    "feedback": ("dermaloop.cli.feedback", "Turn confirmed cases into training data; find mistakes in them."),
    "refine": ("dermaloop.cli.refine", "Train a challenger on confirmed cases and judge it by a plan."),
    "account": ("dermaloop.cli.account", "Create, list, change and unlock accounts; print a link to sign in."),
}
"""Command, the module that holds its typer app as `app`, and its line in the help."""


class _LazyGroup(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 the framework's signature, thrice
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command = typer.main.get_command(importlib.import_module(module).app)
        command.name = cmd_name
        # Shell completion would be the whole program's, not one command's.
        command.params = [one for one in command.params if not str(one.name).endswith("_completion")]
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


app = typer.Typer(cls=_LazyGroup, no_args_is_help=True, add_completion=False, rich_markup_mode=None)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"dermaloop {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """dermaloop: finds skin cancer in photographs of skin lesions. Decision support for research use."""


_STOPS_ITSELF = frozenset({"train", "refine", "serve"})
"""Commands that do something of their own on SIGTERM: save a checkpoint, finish what is in hand."""
_TERMINATED = 128 + signal.SIGTERM
_WAYS_OUT = {
    errno.ENOSPC: "Free space, or choose another place.",
    errno.EDQUOT: "Free space, or choose another place.",
    errno.EFBIG: "Raise the limit on the size of files, or choose another place.",
    errno.EACCES: "Check who may read and write there.",
    errno.EPERM: "Check who may read and write there.",
    errno.EROFS: "Choose a place that may be written.",
    errno.EMFILE: "Raise the limit on open files (ulimit -n).",
    errno.ENFILE: "Raise the limit on open files (ulimit -n).",
    errno.EIO: "Check the disk.",
}
"""What the operating system refuses to anybody, by error number. Any other OSError is a defect of ours."""


def main() -> None:
    """Runs the command line.

    Exit status: 0 done, 1 an error shown to the user, 2 wrong usage, 130 interrupted, 143 terminated; `classify` and
    `watch` have one more each.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot show is shown by its escape
            stream.reconfigure(errors="backslashreplace")
    former = signal.getsignal(signal.SIGTERM)
    if not _STOPS_ITSELF.intersection(sys.argv[1:2]):
        signal.signal(signal.SIGTERM, _terminate)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        _run()
    except DermaloopError as error:
        console.print(f"Error: {shown(str(error))}", style="red", markup=False)
        sys.exit(1)
    except OSError as error:
        if error.errno not in _WAYS_OUT:
            raise
        where = f"{shown(str(error.filename))}: " if error.filename else ""
        told = f"Error: {where}{error.strerror}. {_WAYS_OUT[error.errno]}"
        console.print(told, style="red", markup=False)
        _forget_output()
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("Interrupted.", style="yellow")
        sys.exit(130)
    finally:
        signal.signal(signal.SIGTERM, former)


def _run() -> None:
    try:
        app()
    finally:
        sys.stdout.flush()  # here, where a full disk is told as one, not at the interpreter's end


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    """Ends by an exception, so that no temporary file stays behind."""
    del number, frame
    sys.exit(_TERMINATED)


def _forget_output() -> None:
    """Lets what could not be written go: the interpreter would try again at its end, and complain."""
    with contextlib.suppress(OSError):  # it may be no file at all
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
