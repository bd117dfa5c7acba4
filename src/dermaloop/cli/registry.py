"""`dermaloop registry`: which models there are, which one answers, and the decisions about them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dermaloop.cli.store import STORE, opened

if TYPE_CHECKING:
    from dermaloop.cases.actor import Actor
    from dermaloop.cases.comparison import Comparison, Share
    from dermaloop.cases.model_records import ModelVersion
    from dermaloop.cases.store import Store

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Show, compare, promote, roll back and export models."
)

_MODEL = typer.Argument(help="Its id, the beginning of its id, its identity, or champion, challenger or shadow.")
_REASON = typer.Option(..., "--reason", help="Why; kept in the registry.")


def _operator(command: str) -> Actor:
    from dermaloop.cases.actor import system

    return system(f"registry {command}")


@app.command()
def show(
    model: str | None = typer.Argument(None, help="One model; without it, all of them and what happened."),
    store: Path | None = STORE,
) -> None:
    """What answers, what waits for a decision, every version; or one version with its gates and history."""
    from dermaloop.cases import registry

    with opened(store) as held, held.database.read() as session:
        entries = registry.history(session)
        standing = registry.standing(entries)
        if model is not None:
            found = registry.find_model(session, model)
            _show_one(found, ", ".join(standing.get(found.id, ())))
            entries = tuple(entry for entry in entries if entry.model_id == found.id)
        else:
            for found in registry.listing(session):
                now_is = ", ".join(standing.get(found.id, ())) or "registered"
                typer.echo(f"{found.id[:8]}  {found.identity}  {now_is}  gates: {found.verdict}")
        for entry in entries:
            target = (entry.model_id or "none")[:8]
            reason = f"  {entry.reason!r}" if entry.reason else ""
            when = entry.at.isoformat(sep=" ", timespec="seconds")
            typer.echo(f"{when}  {entry.alias}: {target} ({entry.act}) by {entry.actor_name}{reason}")
        if not entries and model is None:
            typer.echo("No model has served yet. 'dermaloop serve' makes the one that ships the first champion.")


def _show_one(model: ModelVersion, now_is: str) -> None:
    rows = {
        "id": model.id,
        "identity": model.identity,
        "is": now_is or "registered only",
        "version": f"{model.version}, made {model.created}",
        "from": f"{model.origin}, by {model.actor_name}",
        "parent": model.parent_id or "none",
        "file": model.file_sha256,
        "bundle": model.bundle_sha256,
        "manifest": model.manifest_sha256,
        "recipe": model.recipe_sha256,
        "code": model.code_sha256,
        "plan": model.plan_sha256 or "none",
        "evidence": model.evidence_sha256 or "none",
        "gates": str(model.verdict),
    }
    for name, value in rows.items():
        typer.echo(f"{name + ':':10}{value}")
    for gate in model.gates:
        state = {True: "passed", False: "NOT PASSED", None: "not judged"}[gate.passed]
        typer.echo(f"  {gate.name}: {state}. {gate.sentence}")


@app.command()
def add(
    bundle: Path = typer.Argument(help="Bundle file or folder."),
    champion: bool = typer.Option(False, "--champion", help="Make it the first champion; only where there is none."),
    store: Path | None = STORE,
) -> None:
    """Register a bundle that no plan stands behind. It answers nothing until a lead promotes it."""
    from dermaloop.cases import registry
    from dermaloop.core.bundle import open_bundle
    from dermaloop.web.serving import load

    load(open_bundle(bundle), threads=1)  # what cannot run is not registered
    with opened(store) as held, held.database.begin() as session:
        made = registry.add(session, _operator("add"), bundle, first=champion)
    typer.echo(f"{made.id}  {made.identity}{'  is the champion' if champion else ''}")


@app.command()
def compare(model: str = _MODEL, store: Path | None = STORE) -> None:
    """A model beside the champion: figures with intervals, and its silent answers on this practice's own cases."""
    from dermaloop.cases import registry
    from dermaloop.cases.comparison import compare as compare_live
    from dermaloop.cases.model_rows import models_folder
    from dermaloop.cases.model_tables import Alias
    from dermaloop.web.model_figures import side_by_side

    with opened(store) as held, held.database.read() as session:
        found = registry.find_model(session, model)
        serves = registry.current(session, Alias.CHAMPION)
        base = None if serves is None or serves.id == found.id else serves
        table = side_by_side(models_folder(session), base, found)
        live = compare_live(session, found.id)
    _show_one(found, "")
    typer.echo(f"\n{'figure':36}{'champion':>24}{'this model':>24}{'difference':>12}")
    for line in table.lines:
        sides = [
            "-" if one is None else f"{one.value:.3f}" + (f" ({one.low:.3f} to {one.high:.3f})" if one.low else "")
            for one in (line.champion, line.candidate)
        ]
        change = "" if line.change is None else f"{line.change:+.3f} {line.word}"
        typer.echo(f"{line.title:36}{sides[0]:>24}{sides[1]:>24}  {change}")
    for text in (table.measured and f"Measured on: {table.measured}.", table.note):
        if text:
            typer.echo(text)
    _show_live(live)


def _show_live(live: Comparison) -> None:
    typer.echo(f"\nAnswered silently: {live.pictures} pictures of {live.cases} cases.")
    for reason, count in sorted(live.missed.items()):
        typer.echo(f"Not asked about: {count} pictures ({reason}).")
    if not live.pictures:
        return
    typer.echo(f"Same decision: {_share(live.agreement)}; only this model refers {live.to_refer}, only the shown "
               f"answer referred {live.to_none}.")  # fmt: skip
    for name, outcome in (("malignant", live.malignant), ("benign", live.benign)):
        p_value = "" if outcome.p_value is None else f"; p = {outcome.p_value:.3f} (McNemar, exact)"
        typer.echo(f"Confirmed {name}: right as shown {_share(outcome.shown)}, this model "
                   f"{_share(outcome.silent)}{p_value}")  # fmt: skip


def _share(share: Share) -> str:
    if share.interval is None:
        return "none"
    low, high = share.interval
    return f"{share.count} of {share.n} ({low:.0%} to {high:.0%})"


@app.command()
def promote(
    model: str = _MODEL,
    reason: str = _REASON,
    by: str = typer.Option(
        ..., "--by", help="Name of your account, which has the role lead; its password is asked for."
    ),
    without_gates: bool = typer.Option(
        False, "--without-gates", help="Acknowledge that no plan and no gate stands behind it."
    ),
    store: Path | None = STORE,
) -> None:
    """Make a model the champion. Its gates must have been passed; it is loaded and tried before."""
    from dermaloop.cases import promotion, registry
    from dermaloop.web.serving import load_model

    with opened(store) as held:
        actor = _signed(held, by)
        with held.database.read() as session:
            found = registry.find_model(session, model)
        load_model(held.database, found, threads=1)
        with held.database.begin() as session:
            promotion.promote(session, actor, found.id, reason=reason, without_gates=without_gates)
    typer.echo(f"{found.identity} is the champion; running servers change to it within seconds.")


def _signed(store: Store, name: str) -> Actor:
    """The person who signs."""
    from dermaloop.cases.signature import signed_by

    password = typer.prompt("Password", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    return signed_by(store.database, name, password, address="command line")


@app.command()
def rollback(reason: str = _REASON, store: Path | None = STORE) -> None:
    """Take the latest promotion back: the champion before it answers again, within seconds."""
    from dermaloop.cases import promotion

    with opened(store) as held, held.database.begin() as session:
        found = promotion.roll_back(session, _operator("rollback"), reason=reason)
    typer.echo(f"{found.identity} is the champion again; running servers change to it within seconds.")


@app.command()
def shadow(
    model: str | None = typer.Argument(None, help="The model that shall answer silently; see `show`."),
    stop: bool = typer.Option(False, "--stop", help="End the shadow instead."),
    store: Path | None = STORE,
) -> None:
    """Let a model answer silently beside the champion, or end that. Nobody is shown what it says on a case."""
    from dermaloop.cases import promotion

    if (model is None) != stop:
        raise typer.BadParameter("name a model, or --stop", param_hint="MODEL")
    with opened(store) as held, held.database.begin() as session:
        if model is None:
            ended = promotion.stop_shadow(session, _operator("shadow"))
            typer.echo(f"{ended.identity} is the shadow no more; what it said is kept.")
        else:
            found = promotion.start_shadow(session, _operator("shadow"), model)
            typer.echo(f"{found.identity} answers silently.")


@app.command()
def replay(
    model: str = _MODEL,
    most: int = typer.Option(500, "--most", min=1, max=100_000, help="Pictures at the most, the latest first."),
    store: Path | None = STORE,
) -> None:
    """Let a model answer silently on pictures that are in the records already, to compare it."""
    from dermaloop.cases import registry
    from dermaloop.cases import shadow as shadows
    from dermaloop.cases.model_tables import SilentKind
    from dermaloop.web.serving import load_model
    from dermaloop.web.shadowing import answer_silently

    with opened(store) as held:
        with held.database.read() as session:
            found = registry.find_model(session, model)
            waiting = shadows.waiting(session, found.id, most=most)
        classifier = load_model(held.database, found, threads=1)
        for one in waiting:
            answer_silently(held, classifier, found, one.image_id, one.sha256, kind=SilentKind.REPLAY)
    typer.echo(f"{found.identity} has answered on {len(waiting)} pictures: dermaloop registry compare {found.id[:8]}")


@app.command()
def export(
    model: str = _MODEL,
    out: Path = typer.Argument(help="Zip file to write."),
    with_bundle: bool = typer.Option(False, "--with-bundle", help="Include the bundle itself."),
    store: Path | None = STORE,
) -> None:
    """Write the whole evidence of a model as a zip, with one HTML dossier to read."""
    from dermaloop.web.dossier import export_change

    with opened(store) as held:
        count = export_change(held, _operator("export"), model, out, with_bundle=with_bundle)
    typer.echo(f"{out}: {count} files; begin with dossier.html")


@app.command()
def verify(
    copies: list[Path] | None = typer.Argument(
        None, exists=True, help="Exported zips, or folders of turns of `dermaloop refine`, to compare too."
    ),
    store: Path | None = STORE,
) -> None:
    """Check every bundle, gate result and alias against the audit log. Exit status 1 where anything was changed."""
    from dermaloop.cases.registry_verify import verify_registry

    with opened(store, check_log=False) as held:
        found = verify_registry(held, copies or ())
    for finding in found.log.findings:
        typer.echo(f"audit log, {finding.kind}: {finding.text}")
    for fault in found.faults:
        typer.echo(fault)
    if not found.sound:
        typer.echo("The registry is not what it was.")
        raise typer.Exit(1)
    typer.echo(f"The registry is whole: {found.models} models, {found.entries} entries, audit log {found.log.count}.")
    for path in copies or ():
        typer.echo(f"{path}: as it was made, and as the registry has it.")
