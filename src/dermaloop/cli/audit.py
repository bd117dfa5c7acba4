"""`dermaloop audit`: verify and export the audit log."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import typer

from dermaloop.cli.store import STORE, opened

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Verify and export the audit log.")


class Format(StrEnum):
    """Of an export."""

    JSONL = "jsonl"
    CSV = "csv"


@app.command()
def verify(
    store: Path | None = STORE,
    noted: str | None = typer.Option(
        None, "--noted", help="End of the log as an earlier run printed it, NUMBER:HASH, kept elsewhere."
    ),
) -> None:
    """Walk the whole chain; say what was changed, removed, moved or cut off, and where. Exit status 1 if anything was.

    Prints the end of the log: noted elsewhere, it shows later that nothing was cut off and put back.
    """
    from dermaloop.cases.audit_verify import verify as verify_log

    end = _read_noted(noted)
    with opened(store, check_log=False) as held, held.database.read() as session:
        found = verify_log(session, held.database.audit_key, anchor=held.database.anchor, noted=end)
    for finding in found.findings:
        typer.echo(f"{finding.kind}: {finding.text}")
    if not found.intact:
        typer.echo(f"The audit log is broken: {len(found.findings)} findings in {found.count} entries.")
        raise typer.Exit(1)
    typer.echo(f"The audit log is whole: {found.count} entries.")
    typer.echo(f"end: {found.count}:{found.head}")


def _read_noted(noted: str | None) -> tuple[int, str] | None:
    if noted is None:
        return None
    number, _, head = noted.partition(":")
    if not number.isdecimal() or not head:
        raise typer.BadParameter("give it as NUMBER:HASH, as `dermaloop audit verify` prints it", param_hint="--noted")
    return int(number), head.strip()


@app.command()
def export(  # noqa: PLR0917 - one argument per option
    out: Path | None = typer.Option(None, "--out", help="File to write. [default: standard output]"),
    form: Format = typer.Option(Format.JSONL, "--format", help="JSON lines are exact; CSV is for a spreadsheet."),
    action: str = typer.Option(
        "", help="Only this action, e.g. patient.deleted, or its beginning with a dot: patient."
    ),
    actor: str = typer.Option("", help="Only what this account's or token's id did."),
    subject: str = typer.Option("", help="Only what concerns this id, e.g. a patient's."),
    since: datetime | None = typer.Option(None, help="Only from this moment on, UTC."),
    store: Path | None = STORE,
) -> None:
    """Write the entries of the log in their order. That it was exported is an entry too."""
    from dermaloop.cases import audit
    from dermaloop.cases.actor import system
    from dermaloop.cases.audit_list import Filter
    from dermaloop.cases.audit_list import export as export_log
    from dermaloop.core.errors import OutputError
    from dermaloop.core.files import replacing

    moment = None if since is None else since.replace(tzinfo=UTC)
    wanted = Filter(actor_id=actor, action=action, subject_id=subject, since=moment)
    with opened(store) as held:
        with held.database.begin() as session:
            audit.append(session, system("audit export"), "audit.exported", "audit", "log", {"format": str(form)})
        with held.database.read() as session:
            if out is None:
                export_log(session, sys.stdout, form.value, wanted)
                return
            try:
                with replacing(out) as temporary, temporary.open("x", encoding="utf-8", newline="") as stream:
                    temporary.chmod(0o600)
                    count = export_log(session, stream, form.value, wanted)
            except OSError as error:
                raise OutputError(
                    f"the export cannot be written ({error.strerror or error})",
                    where=str(out),
                    way_out="Choose another place.",
                ) from error
    typer.echo(f"{out}: {count} entries")
