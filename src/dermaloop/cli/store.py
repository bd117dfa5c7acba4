"""`dermaloop store`: check, back up and restore what the clinic keeps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from dermaloop.cases.store import Store

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Check, back up and restore the records.")

STORE = typer.Option(None, "--store", help="Folder of the records. [default: the user's data folder]")


@contextlib.contextmanager
def opened(store: Path | None, *, check_log: bool = True) -> Iterator[Store]:
    """The store that the settings name, closed at the end; never a new one."""
    from dermaloop.cases.store import open_store
    from dermaloop.web.settings import read_settings

    settings = read_settings(store=store)
    held = open_store(
        settings.store_folder,
        database_url=settings.database_url,
        images_url=settings.images_url,
        make=False,
        check_log=check_log,
    )
    try:
        yield held
    finally:
        held.close()


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


@app.command()
def check(
    store: Path | None = STORE,
    remove_orphans: bool = typer.Option(
        False, "--remove-orphans", help="Remove what no record names and that is older than an hour."
    ),
) -> None:
    """Read every picture and compare it with the records. Exit status 1 where one is missing or damaged.

    Also finishes deletions that a crash has left half-done, and asks SQLite to check its file.
    """
    from dermaloop.cases.actor import system
    from dermaloop.cases.check import check as check_store

    with opened(store) as held:
        found = check_store(held, system("store check"), remove_orphans=remove_orphans)
        place = held.images.place
    typer.echo(f"{found.images} pictures in the records; {found.files} files, {_size(found.size_bytes)}, in {place}")
    for what, ids in (("missing", found.missing), ("damaged", found.damaged)):
        for image_id in ids:
            typer.echo(f"{what}: picture {image_id}")
    for name in found.orphans:
        typer.echo(f"orphan: {name}")
    if found.removed:
        typer.echo(f"{found.removed} orphans removed.")
    elif found.orphans:
        typer.echo(f"{len(found.orphans)} orphans; --remove-orphans removes them.")
    for fault in found.database:
        typer.echo(f"database: {fault}")
    if not found.sound:
        typer.echo("Restore what is missing or damaged from a backup: docs/store.md says how.")
        raise typer.Exit(1)
    typer.echo("Nothing is missing or damaged.")


@app.command()
def backup(
    file: Path = typer.Argument(help="File to write, e.g. clinic.zip."),
    store: Path | None = STORE,
    replace: bool = typer.Option(False, "--replace", help="Replace such a file, once the new one is whole."),
) -> None:
    """Write a backup while the clinic goes on working: records, pictures, and the audit log's secret.

    Keep it where only those may read it who may read the records.
    """
    from dermaloop.cases.actor import system
    from dermaloop.cases.backup import back_up

    _keep(file, "an earlier backup", replace=replace)
    with opened(store) as held:
        made = back_up(held, system("store backup"), file)
    typer.echo(f"{file}: {made.images} pictures, {_size(made.size_bytes)}")
    typer.echo(f"audit log: {made.audit_count}:{made.audit_head}")
    for sha256 in made.unavailable:
        typer.echo(f"not in it, for it is missing or damaged in the store: {sha256}")
    if made.unavailable:
        typer.echo("Run: dermaloop store check")
        raise typer.Exit(1)


@app.command()
def restore(file: Path = typer.Argument(help="Backup to restore."), store: Path | None = STORE) -> None:
    """Make a store of a backup, in a folder that has none. Every part and the audit log are checked first."""
    from dermaloop.cases.backup import restore as restore_store
    from dermaloop.web.settings import read_settings

    folder = read_settings(store=store).store_folder
    made = restore_store(file, folder)
    typer.echo(
        f"{folder}: {made.images} pictures, as of {made.made_at}; audit log {made.audit_count}:{made.audit_head}"
    )
    typer.echo("Patients who were deleted after that moment are back: delete them again (docs/store.md).")


@app.command()
def export(
    patient_id: str = typer.Argument(help="The patient's id, as the address of their page shows it."),
    out: Path = typer.Argument(help="Zip file to write."),
    store: Path | None = STORE,
    replace: bool = typer.Option(False, "--replace", help="Replace such a file, once the new one is whole."),
) -> None:
    """Write one patient's whole record as a zip: JSON, tables and pictures."""
    from dermaloop.cases.actor import system
    from dermaloop.cases.export import export_patient

    _keep(out, "another patient's record", replace=replace)
    with opened(store) as held:
        count = export_patient(held, system("store export"), patient_id, out)
    typer.echo(f"{out}: {count} pictures")


@app.command()
def delete(
    patient_id: str = typer.Argument(help="The patient's id, as the address of their page shows it."),
    reason: str = typer.Option(..., "--reason", help="Why, e.g. 'request by letter'; kept in the audit log."),
    store: Path | None = STORE,
) -> None:
    """Delete one patient at their request: pictures and all that identifies them. Cannot be undone."""
    from dermaloop.cases.actor import system
    from dermaloop.cases.deletion import delete_patient

    with opened(store) as held:
        count = delete_patient(held, system("store delete"), patient_id, reason=reason)
    typer.echo(f"Deleted; {count} pictures removed. Backups made before still hold the record (docs/store.md).")


def _keep(file: Path, what: str, *, replace: bool) -> None:
    """Refuses to replace a file unasked.

    Raises:
        OutputError: It is there.
    """
    from dermaloop.core.errors import OutputError

    if file.exists() and not replace:
        raise OutputError(
            f"there is a file of this name already, perhaps {what}",
            where=str(file),
            way_out="Name another one, or say --replace: the earlier one then stays until the new one is whole.",
        )
