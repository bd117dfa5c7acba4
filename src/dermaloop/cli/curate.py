"""`dermaloop curate`: import, split, check, report, show."""

from __future__ import annotations

from pathlib import Path

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

OUT = typer.Option(..., "--out", help="The manifest to write (.parquet or .csv).")


@app.command("import")
def import_(
    items: list[str] = typer.Argument(help="IMPORTER=FOLDER, or NAME:IMPORTER=FOLDER, or with --recipe NAME=FOLDER."),
    out: Path = OUT,
    recipe: Path | None = typer.Option(None, help="Dataset recipe whose settings the named sources have."),
) -> None:
    """Import datasets into one manifest."""
    from dermaloop.curation import importing
    from dermaloop.curation.recipe import read_recipe
    from dermaloop.curation.sources import Notes, Settings

    known = read_recipe(recipe).sources if recipe else {}
    jobs = []
    for item in items:
        left, _, folder = item.partition("=")
        name, _, importer = left.partition(":")
        part = known.get(name)
        settings = part.settings(name) if part else Settings(name)
        jobs.append(importing.Job(importer or (part.importer if part else "") or name, Path(folder), settings))
    notes = Notes()
    manifest = importing.measure_files(importing.import_sources(jobs, out.absolute().parent, notes))
    manifest.write(out)
    typer.echo(f"{len(manifest)} rows in {out}")


@app.command("split")
def split_(
    path: Path = typer.Argument(metavar="MANIFEST"),
    recipe: Path = typer.Option(..., help="Dataset recipe with ratios, seed and what each source may be used for."),
    out: Path | None = typer.Option(None, help="Where to write; the manifest itself if not given."),
) -> None:
    """Assign every row to a split."""
    from dermaloop.core import manifest as manifests
    from dermaloop.curation.recipe import read_recipe
    from dermaloop.curation.split import split

    plan = read_recipe(recipe)
    manifest = split(manifests.read(path), plan.ratios, plan.uses(), seed=plan.seed)
    manifest.write(out or path)
    typer.echo(f"{len(manifest)} rows in {out or path}")
