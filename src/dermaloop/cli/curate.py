"""`dermaloop curate`: import, build, split, check, report, show."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dermaloop.core.errors import RecipeError

if TYPE_CHECKING:
    from dermaloop.core.manifest import Manifest
    from dermaloop.curation.build import Built
    from dermaloop.curation.importing import Job
    from dermaloop.curation.progress import Advance
    from dermaloop.curation.recipe import Recipe

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

MANIFEST = typer.Argument(metavar="MANIFEST", help="A manifest (.parquet or .csv).")
OUT = typer.Option(..., "--out", help="The manifest to write or add to (.parquet or .csv).")
RECIPE = typer.Option(..., help="Dataset recipe (TOML): ratios, seed, what each source may be used for.")
WORKERS = typer.Option(os.cpu_count() or 1, min=1, help="Processes that look at pictures.")


@app.command("import")
def import_(
    items: list[str] = typer.Argument(
        metavar="SOURCE=FOLDER...", help="A source and its folder; see 'curate sources'."
    ),
    out: Path = OUT,
    recipe: Path | None = typer.Option(None, help="Dataset recipe that says how its sources are imported."),
    workers: int = WORKERS,
) -> None:
    """Import datasets into one manifest: look at every picture once and find duplicates.

    SOURCE is an importer (ham10000), a name of your own and an importer (clinic_a:folders), or a source of the recipe.
    """
    from dermaloop.core.manifest_place import require_writable
    from dermaloop.curation.build import prepare
    from dermaloop.curation.recipe import read_recipe

    plan = read_recipe(recipe) if recipe else None
    require_writable(out)
    built = prepare([_job(item, plan) for item in items], out, plan, workers=workers, step=_step)
    built.manifest.write(out)
    _tell(built, out)


@app.command()
def build(
    recipe: Path = typer.Argument(help="Dataset recipe (TOML)."),
    data: Path = typer.Option(..., help="Folder with one folder per source."),
    out: Path = OUT,
    report: Path | None = typer.Option(None, help="Also write the report to this HTML file."),
    workers: int = WORKERS,
) -> None:
    """Do it all by a recipe: import, examine, find duplicates, split, check, report."""
    from dermaloop.core.manifest_place import require_writable
    from dermaloop.curation import build as building
    from dermaloop.curation.recipe import read_recipe

    plan = read_recipe(recipe)
    require_writable(out)
    built = building.build(plan, building.jobs(plan, data), out, workers=workers, step=_step)
    built.manifest.write(out)
    _tell(built, out)
    if not _check(out, files=False):
        raise typer.Exit(1)
    if report:
        _report(out, report)


@app.command("split")
def split_(
    path: Path = MANIFEST,
    recipe: Path = RECIPE,
    out: Path | None = typer.Option(None, help="Where to write; the manifest itself if not given."),
) -> None:
    """Assign every row that has no split to one; rows that have one keep it."""
    from dermaloop.core import manifest as manifests
    from dermaloop.curation.recipe import read_recipe
    from dermaloop.curation.split import split

    plan = read_recipe(recipe)
    manifest = split(manifests.read(path), plan.ratios, plan.uses(), seed=plan.seed)
    manifest.write(out or path)
    _show(manifest)


@app.command()
def check(
    path: Path = MANIFEST,
    files: bool = typer.Option(True, help="Also look whether every file is there and unchanged."),
) -> None:
    """Check the rules that hold across rows. Exit status 1 where one is broken."""
    if not _check(path, files=files):
        raise typer.Exit(1)


@app.command()
def report(
    path: Path = MANIFEST,
    out: Path = typer.Option(..., "--out", help="The HTML file to write; it shows pictures, so treat it like them."),
) -> None:
    """Write one self-contained HTML page on a manifest."""
    _report(path, out)


@app.command()
def show(path: Path = MANIFEST) -> None:
    """Print how many rows there are by source, diagnosis and split."""
    from dermaloop.core import manifest as manifests

    _show(manifests.read(path))


@app.command()
def sources() -> None:
    """List the dataset layouts that can be imported."""
    from rich.console import Console
    from rich.table import Table

    from dermaloop.curation.sources import SOURCES

    table = Table("Importer", "Dataset", "Expected in the folder", "Licence")
    for item in SOURCES.values():
        table.add_row(item.name, item.title, item.layout, item.licence)
    Console().print(table)


def _job(item: str, plan: Recipe | None) -> Job:
    from dermaloop.curation.importing import Job
    from dermaloop.curation.sources import Settings, source

    left, equals, folder = item.partition("=")
    name, _, importer = left.partition(":")
    if not equals or not name or not folder:
        raise RecipeError(f"{item!r} is not SOURCE=FOLDER", way_out="For instance: ham10000=/data/ham10000.")
    part = plan.sources.get(name) if plan else None
    chosen = importer or (part.importer if part else "") or name
    return Job(source(chosen).name, Path(folder), part.settings(name) if part else Settings(name))


def _check(path: Path, *, files: bool) -> bool:
    from dermaloop.core import manifest as manifests
    from dermaloop.core.manifest_rules import check as check_rules

    manifest = manifests.read(path)
    with _step("Checking files", len(manifest)) if files else _nothing() as advance:
        violations = check_rules(manifest, files=files, advance=lambda: advance(1))
    for violation in violations:
        typer.echo(f"{violation.rule}: {violation.text}. {violation.way_out}", err=True)
    typer.echo(f"{len(violations)} rules are broken." if violations else f"{len(manifest)} rows, no rule is broken.")
    return not violations


def _report(path: Path, out: Path) -> None:
    from dermaloop.core import manifest as manifests
    from dermaloop.curation.report import write_report

    with _step("Writing the report", None):
        write_report(manifests.read(path), out)
    typer.echo(f"Report in {out}.")


def _tell(built: Built, out: Path) -> None:
    _show(built.manifest)
    for (name, column, value), rows in sorted(built.notes.unmapped.items()):
        typer.echo(f"{name}: {column} {value!r} has no place in the manifest ({rows} rows); left empty.", err=True)
    left = f", {built.merged.left} kept from before" if built.merged.left else ""
    typer.echo(f"{len(built.pairs)} pairs of near-duplicates.")
    typer.echo(
        f"{len(built.manifest)} rows in {out}: {built.merged.new} new, {built.merged.known} known already{left}."
    )


def _show(manifest: Manifest) -> None:
    from collections import Counter

    from rich.console import Console
    from rich.table import Table

    from dermaloop.core.manifest import Split

    columns = [manifest.column(name) for name in ("source", "candidates", "split")]
    counts = Counter(zip(*columns, strict=True))
    table = Table("Source", "Diagnosis", *Split, "none", "all")
    for name, label in sorted({(name, label) for name, label, _ in counts}):
        by_split = [counts[name, label, side] for side in (*Split, None)]
        table.add_row(name, label or "unmapped", *(str(count or "") for count in by_split), str(sum(by_split)))
    Console(width=120).print(table)
    for reason, count in sorted(Counter(filter(None, manifest.column("reject_reason"))).items()):
        typer.echo(f"{count} rejected: {reason}")


@contextmanager
def _nothing() -> Iterator[Advance]:
    yield lambda _: None


@contextmanager
def _step(name: str, total: int | None) -> Iterator[Advance]:
    """A progress bar on stderr; nothing where that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=total)
        yield lambda done: progress.update(task, advance=done)
        progress.update(
            task, total=total or progress.tasks[0].completed or 1, completed=total or progress.tasks[0].completed or 1
        )
