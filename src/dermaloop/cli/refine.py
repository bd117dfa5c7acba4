"""`dermaloop refine`: one turn of learning from confirmed cases, judged by a plan."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dermaloop.cli.store import STORE, opened
from dermaloop.core.errors import MissingExtraError

if TYPE_CHECKING:
    from dermaloop.refine.turn import Outcome

app = typer.Typer(rich_markup_mode=None)
_SIGNS = {True: "passed", False: "FAILED", None: "not judged"}


@app.command()
def refine(  # noqa: PLR0917 - typer reads the options off the signature
    plan: Path = typer.Argument(help="The plan, see recipes/plan.toml."),
    frozen: Path = typer.Option(..., "--frozen", help="Manifest of the test set that no model was ever trained on."),
    work: Path = typer.Option(..., "--work", help="Folder of the turns; an interrupted one goes on there."),
    rehearse: Path | None = typer.Option(None, "--rehearse", help="Manifest of the original training data."),
    champion_weights: Path | None = typer.Option(
        None, "--champion-weights", help="weights.safetensors of the champion. [default: kept by the turn that made it]"
    ),
    threads: int | None = typer.Option(None, "--threads", min=1, help="Cores to use; all if not given."),
    keep_pictures: bool = typer.Option(
        False, "--keep-pictures", help="Leave patients' pictures in the turn's folder when it has ended."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the outcome as JSON."),
    store: Path | None = STORE,
) -> None:
    """Take one turn: gather, check, train a challenger, calibrate, evaluate, judge, propose.

    Interrupted, the same command goes on. With nothing new to learn from it says so and ends well, so that it can be
    run on a schedule.
    """
    try:
        from dermaloop.cases.actor import system
        from dermaloop.core.manifest import read
        from dermaloop.refine import plan as plans
        from dermaloop.refine.turn import Inputs, take_turn
    except ImportError as error:
        raise MissingExtraError(
            f"refining needs the package {error.name!r}", way_out="Install it with: pip install 'dermaloop[train]'."
        ) from error
    inputs = Inputs(
        plan=plans.load(plan),
        frozen=read(frozen),
        rehearsal=None if rehearse is None else read(rehearse),
        weights=champion_weights,
        threads=threads,
        progress=_show if sys.stderr.isatty() else _quiet,
        show_progress=sys.stderr.isatty(),
        keep_pictures=keep_pictures,
    )
    with opened(store) as held:
        outcome = take_turn(held, system("refine"), work, inputs)
    _print(outcome, as_json=as_json)


def _quiet(_what: str, _done: int, _total: int) -> None:
    pass


def _show(what: str, done: int, total: int) -> None:
    sys.stderr.write(f"\r{what}: {done} of {total}" + ("\n" if done == total else ""))


def _print(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        plain: dict[str, Any] = {
            "turn": outcome.turn, "outcome": outcome.word, "said": outcome.said, "model": outcome.model,
            "gates": list(outcome.gates), "folder": str(outcome.folder),
        }  # fmt: skip
        typer.echo(json.dumps(plain, indent=1))
        return
    for gate in outcome.gates:
        typer.echo(f"{_SIGNS[gate['passed']]:>10}  {gate['name']}: {gate['sentence']}")
    typer.echo(f"Turn {outcome.turn}: {outcome.word}. {outcome.said}")
    if outcome.gates:
        typer.echo(f"Evidence: {outcome.folder / 'evidence' / 'report.html'}")
