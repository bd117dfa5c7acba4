"""`dermaloop feedback`: confirmed cases as data: export, check, review, suggest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dermaloop.cases.words import FlagKind, Verdict
from dermaloop.cli.store import STORE, opened
from dermaloop.core.errors import MissingExtraError

if TYPE_CHECKING:
    from dermaloop.core.bundle import Bundle
    from dermaloop.refine.commands import Against

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Turn confirmed cases into training data; find mistakes in them."
)

BUNDLE = typer.Option(None, "--bundle", help="Bundle to look through. [default: the champion, else the one that ships]")
PLAN = typer.Option(None, "--plan", help="Plan with the rules, see recipes/plan.toml. [default: the standard rules]")
KNOWN = typer.Option([], "--known", help="Manifest of the original data, to leave out copies; may be repeated.")
FROZEN = typer.Option([], "--frozen", help="Manifest of a test set, to leave out copies; may be repeated.")
CACHE = typer.Option(None, "--cache", help="Folder of thumbnails of known pictures. [default: beside OUT]")
THREADS = typer.Option(None, "--threads", min=1, help="Cores to use; all if not given.")


def _needs(error: ImportError) -> MissingExtraError:
    return MissingExtraError(
        f"learning from feedback needs the package {error.name!r}",
        way_out="Install it with: pip install 'dermaloop[train]'.",
    )


def _against(known: list[Path], frozen: list[Path], cache: Path) -> Against:
    from dermaloop.core.manifest import read
    from dermaloop.refine.commands import Against

    return Against([read(path) for path in known], [read(path) for path in frozen], cache)


@app.command()
def export(  # noqa: PLR0917 - typer reads the options off the signature
    out: Path = typer.Argument(help="Folder to write: manifest, pictures, counts."),
    plan: Path | None = PLAN,
    bundle: Path | None = BUNDLE,
    known: list[Path] = KNOWN,
    frozen: list[Path] = FROZEN,
    cache: Path | None = CACHE,
    check: bool = typer.Option(False, "--check", help="Look for mistakes first and flag them for a lead."),
    as_json: bool = typer.Option(False, "--json", help="Print the counts as JSON."),
    threads: int | None = THREADS,
    store: Path | None = STORE,
) -> None:
    """Write confirmed cases that may train as a manifest with pictures, and count what may not, by reason.

    The folder holds patients' pictures: keep it where only those may read it who may read the records.
    """
    try:
        from dermaloop.cases.actor import system
        from dermaloop.refine import commands
        from dermaloop.refine import plan as plans
    except ImportError as error:
        raise _needs(error) from error
    chosen = plans.load(plan).plan if plan else plans.standard()
    actor = system("feedback export")
    with opened(store) as held:
        eyes: Bundle = commands.champion_bundle(held, bundle)
        against = _against(known, frozen, cache or out.absolute().parent / "known-pictures")
        found = commands.export(held, actor, out, plan=chosen, bundle=eyes, against=against, workers=threads or 1)
        if check:
            _, new = commands.check(
                held, actor, found.manifest, found.kept, found.pairs, plan=chosen, bundle=eyes, threads=threads
            )
            typer.echo(f"{new} new flags for a lead: dermaloop feedback review", err=True)
            if new:
                found = commands.export(held, actor, out, plan=chosen, bundle=eyes, against=against)
    if as_json:
        typer.echo(json.dumps(found.summary, indent=1, sort_keys=True))
    else:
        _print(found.summary, out)
    if not known and not frozen:
        typer.echo("Compared with no test set: name yours with --frozen, or test pictures may come to train.", err=True)


def _print(summary: dict[str, Any], out: Path) -> None:
    from dermaloop.refine.eligibility import RULES
    from dermaloop.refine.feedback_report import DECISIONS

    usable = summary["usable"]
    typer.echo(
        f"{summary['pictures']} pictures of {summary['cases']} cases; {usable['pictures']} pictures of"
        f" {usable['lesions']} lesions of {usable['patients']} patients may train."
    )
    for word, count in summary["excluded"].items():
        typer.echo(f"{count:>8}  {RULES[word]}")
    typer.echo("Confirmed, by what the model said (who gets a biopsy is not random):")
    for word, text in DECISIONS.items():
        row = summary["verification"][word]
        share = row["share_confirmed"]["value"]
        of = "" if share is None else f", {share:.0%}"
        typer.echo(f"{row['confirmed']:>8} of {row['cases']}{of}  {text}")
    typer.echo(f"Wrote {out}.")


@app.command()
def review(  # noqa: PLR0917 - typer reads the options off the signature
    flag_id: str | None = typer.Argument(None, help="The flag to decide on; without it, all that wait are listed."),
    verdict: Verdict | None = typer.Option(None, "--verdict", help="Whether the confirmation may train."),
    reason: str = typer.Option("", "--reason", help="Why; kept in the records."),
    kind: FlagKind | None = typer.Option(None, "--kind", help="List only flags of this kind."),
    every: bool = typer.Option(False, "--all", help="List those that were decided on too."),
    as_json: bool = typer.Option(False, "--json", help="List as JSON."),
    store: Path | None = STORE,
) -> None:
    """List flagged confirmations, or accept or reject one with a reason. Leads do the same on a page."""
    from dermaloop.cases import flags
    from dermaloop.cases.actor import system

    actor = system("feedback review")
    if flag_id is not None:
        if verdict is None:
            raise typer.BadParameter("say --verdict accepted or --verdict rejected", param_hint="--verdict")
        with opened(store) as held, held.database.begin() as session:
            done = flags.review_flag(session, actor, flag_id, verdict=verdict, reason=reason)
        typer.echo(f"{done.id}: {verdict.value}.")
        return
    kinds = tuple(FlagKind) if kind is None else (kind,)
    with opened(store) as held, held.database.begin() as session:
        found = flags.list_flags(session, actor, waiting=not every, kinds=kinds)
    if as_json:
        rows = [
            {
                "id": one.id, "case": one.case_id, "confirmation": one.confirmation_id, "kind": str(one.kind),
                "sentence": one.sentence, "evidence": dict(one.evidence),
                "verdict": "" if one.review is None else str(one.review.verdict),
                "reason": "" if one.review is None else one.review.reason,
            }
            for one in found
        ]  # fmt: skip
        typer.echo(json.dumps(rows, indent=1))
        return
    for one in found:
        said = "waits" if one.review is None else f"{one.review.verdict}: {one.review.reason}"
        typer.echo(f"{one.id}  {one.kind}  case {one.case_id}\n    {one.sentence}\n    {said}")
    if not found:
        typer.echo("No flag waits." if not every else "There is no flag.")


@app.command()
def suggest(  # noqa: PLR0917 - typer reads the options off the signature
    count: int = typer.Option(20, "--count", min=1, help="How many cases at most."),
    save: bool = typer.Option(False, "--save", help="Show them on the worklist."),
    bundle: Path | None = BUNDLE,
    as_json: bool = typer.Option(False, "--json", help="Print as JSON."),
    threads: int | None = THREADS,
    store: Path | None = STORE,
) -> None:
    """List the unconfirmed cases whose confirmation would teach the model most."""
    try:
        from dermaloop.cases.actor import system
        from dermaloop.refine import commands
    except ImportError as error:
        raise _needs(error) from error
    with opened(store) as held:
        eyes = commands.champion_bundle(held, bundle)
        found = commands.suggest(
            held, system("feedback suggest"), bundle=eyes, wanted=count, save=save, threads=threads
        )
    if as_json:
        rows = [{"case": one.case_id, "margin": round(one.margin, 4), "likeliest": one.top} for one in found]
        typer.echo(json.dumps(rows, indent=1))
        return
    for place, one in enumerate(found, start=1):
        typer.echo(f"{place:>4}  case {one.case_id}  likeliest {one.top}, the next {one.margin:.0%} behind")
    if not found:
        typer.echo("No unconfirmed case has a picture.")
