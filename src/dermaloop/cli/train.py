"""`dermaloop train`: a recipe and a manifest in, a bundle out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dermaloop.core.errors import MissingExtraError

app = typer.Typer()
LICENCE = "Non-commercial research only: trained on data under CC BY-NC 4.0 (see the card)."


@app.command()
def train(  # noqa: PLR0917 - typer calls it by name
    recipe: Annotated[Path, typer.Argument(help="TOML recipe, see recipes/.")],
    manifest: Annotated[Path, typer.Argument(help="Curated manifest with splits.")],
    out: Annotated[Path, typer.Option(help="Run folder; a run begun there is resumed.")],
    bundle: Annotated[Path | None, typer.Option(help="Bundle to write; default OUT/NAME.dermaloop.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Folder of the recipe's starting weights.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder of pre-decoded pictures; default beside OUT.")] = None,
    leave_out: Annotated[list[str] | None, typer.Option(help="Source to leave out; may be repeated.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override, e.g. run.steps=100; may be repeated.")
    ] = None,
    licence: Annotated[str, typer.Option(help="Terms of the model; they follow its data.")] = LICENCE,
    package_only: Annotated[
        bool, typer.Option("--package-only", help="Package a finished run again, without training.")
    ] = False,
) -> None:
    """Train a network by a recipe and package it as a bundle."""
    try:
        from dermaloop.core.manifest import read
        from dermaloop.pipeline.package import check, package
        from dermaloop.training import recipe as recipes
        from dermaloop.training.run import open_run
        from dermaloop.training.run import train as run_training
    except ImportError as error:
        what = f"training needs the package {error.name!r}"
        raise MissingExtraError(what, way_out="Install it with: pip install 'dermaloop[train]'") from error
    chosen = recipes.load(recipe, _overrides(set_ or []))
    for source in leave_out or []:
        chosen = recipes.without_source(chosen, source)
    rows = read(manifest)
    check(chosen, rows)
    if package_only:
        trained = open_run(out).with_package(chosen)
    else:
        finished = run_training(
            chosen, rows, out, weights_folder=weights, cache_folder=cache, show_progress=sys.stderr.isatty()
        )
        if finished is None:  # one of several processes that trained together; the first one goes on
            return
        trained = finished
    target = bundle or out / f"{trained.recipe.name}.dermaloop"
    written = package(trained, rows, target, licence=licence)
    Console(stderr=True).print(f"Wrote {target} ({written.identity}).", markup=False, highlight=False, soft_wrap=True)


def _overrides(texts: list[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise typer.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="--set")
        found[key] = value
    return found
