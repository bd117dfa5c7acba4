"""`dermaloop watch`: look for drift in what the service has seen, answered and had confirmed."""

from __future__ import annotations

import json as json_text
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dermaloop.cli.store import STORE, opened

if TYPE_CHECKING:
    from dermaloop.cases.findings import Alarm, Run
    from dermaloop.cases.store import Store
    from dermaloop.core.bundle import Bundle

app = typer.Typer(rich_markup_mode=None)


@app.command()
def watch(
    store: Path | None = STORE,
    bundle: Path | None = typer.Option(None, help="Bundle whose answers are watched. [default: the one that serves]"),
    operating_point: str | None = typer.Option(None, help="Operating point that decides. [default: the bundle's]"),
    json: bool = typer.Option(False, "--json", help="Print everything that was found as JSON."),
    progress: bool = typer.Option(False, "--progress", help="First print 'progress DONE OF' for each measure."),
) -> None:
    """Look for drift once, keep what is found, and print it. Exit status 1 where an alarm is open.

    The running server does the same once a day by itself. However often it looks, the chance of a false alarm within a
    year stays what the settings say; docs/watching.md says how, and what to do about an alarm.
    """
    if find_spec("scipy") is None:
        from dermaloop.core.errors import MissingExtraError

        raise MissingExtraError(
            "the watch needs a library that is not installed",
            where="scipy",
            way_out="Install it: pip install 'dermaloop[watch]'.",
        )
    from dermaloop.cases.actor import system
    from dermaloop.cases.findings import alarms
    from dermaloop.pipeline.watch import watch as look
    from dermaloop.web.settings import read_settings

    settings = read_settings(store=store, bundle=bundle, operating_point=operating_point)
    with opened(store) as held:
        watched = _bundle(held, settings.bundle)
        run = look(
            held,
            system("watch"),
            watched,
            settings.watch_limits,
            operating_point=settings.operating_point,
            progress=_tell if progress else lambda *_: None,
        )
        with held.database.read() as session:
            found = [alarm for alarm in alarms(session, bundle=run.bundle) if alarm.review is None]
    typer.echo(json_text.dumps(_document(run, found), indent=1) if json else _lines(run, found))
    if found:
        raise typer.Exit(1)


def _tell(done: int, of: int) -> None:
    """For whoever reads the output while the command runs, as the server does."""
    typer.echo(f"progress {done} {of}")


def _bundle(store: Store, path: Path | None) -> Bundle:
    """The bundle that is named, else the one that serves, else the one that ships."""
    from dermaloop.cases import registry
    from dermaloop.cases.model_tables import Alias
    from dermaloop.core.bundle import open_bundle
    from dermaloop.inference.default import default_bundle_path

    if path is None:
        with store.database.read() as session:
            model = registry.current(session, Alias.CHAMPION)
            if model is not None:
                return registry.open_model(session, model)
    return open_bundle(path or default_bundle_path())


def _document(run: Run, found: list[Alarm]) -> dict[str, Any]:
    return {
        "made_at": run.made_at.isoformat(),
        "bundle": run.bundle,
        "alarms": [
            {
                "id": alarm.id,
                "measure": alarm.measure,
                "raised_at": alarm.made_at.isoformat(),
                "began_at": alarm.began_at.isoformat(),
                "found_at": alarm.found_at.isoformat(),
            }
            for alarm in found
        ],
        **run.report,
    }


def _lines(run: Run, found: list[Alarm]) -> str:
    lines = [f"{run.bundle}: {run.visits} visits, {run.confirmed} confirmed cases"]
    lines += [
        f"  {one['name']:16} {one['state']:9} {one['count']:6} cases  evidence {one['evidence']:.2g} of 1"
        for one in run.report["findings"]
    ]
    if not found:
        return "\n".join([*lines, "No alarm is open."])
    lines += [f"ALARM {alarm.measure}: changed about {alarm.began_at:%Y-%m-%d}" for alarm in found]
    return "\n".join([*lines, "The page Watch says what to do, and takes what you found."])
