"""Entry point of the command line: finds the command's group, turns our errors into one line and an exit status."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from dermaloop import __version__
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


def main() -> None:
    """Runs the command line. Exit status: 0 done, 1 an error shown to the user, 2 wrong usage, 130 interrupted."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        app()
    except DermaloopError as error:
        console.print(f"Error: {error}", style="red", markup=False)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("Interrupted.", style="yellow")
        sys.exit(130)
