"""`dermaloop evaluate`: measure a bundle on a manifest, write result, report and card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import typer

from dermaloop.core.errors import MissingExtraError, OutputError

if TYPE_CHECKING:
    from collections.abc import Mapping

app = typer.Typer(rich_markup_mode=None)


@app.command()
def evaluate(  # noqa: PLR0917 - typer reads the options off the signature
    bundle: Path = typer.Argument(help="Bundle folder or .dermaloop file."),
    manifest: Path = typer.Argument(help="Manifest (.parquet or .csv)."),
    split: list[str] = typer.Option(["test"], "--split", help="Split to measure; may be given several times."),
    out: Path = typer.Option(
        ..., "--out", help="Folder for report.html, evaluation.json, card.md, predictions.parquet."
    ),
    stress: bool = typer.Option(False, "--stress", help="Also perturb pictures and count flipped decisions."),
    stress_pictures: int = typer.Option(400, min=1, help="Pictures of each split for --stress."),
    explain: bool = typer.Option(False, "--explain", help="Also compare heatmaps with outlined lesions."),
    leave_one_out: list[str] = typer.Option(
        [], "--leave-one-out", metavar="SOURCE=FILE", help="evaluation.json of a bundle that never saw SOURCE."
    ),
    resamples: int = typer.Option(1000, min=100, help="Bootstrap resamples of patients or lesions."),
    seed: int = typer.Option(0, help="Of the resamples."),
    threads: int | None = typer.Option(None, min=1, help="Cores to use; all if not given."),
    write_into_bundle: bool = typer.Option(
        False, "--write-into-bundle", help="Put result, report and card into the bundle."
    ),
) -> None:
    """Measure a bundle on a manifest; write report, result, card and predictions.

    Measuring the split 'test' is logged in the bundle's history.
    """
    try:
        from dermaloop.pipeline.evaluate import Options
        from dermaloop.pipeline.evaluate import evaluate as measure
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"evaluating needs the package {error.name!r}, which is not installed",
            way_out="Install it with: pip install 'dermaloop[evaluate]'.",
        ) from error
    if out.exists() and not out.is_dir():
        raise OutputError("this is a file, not a folder", where=str(out), way_out="Choose another folder with --out.")
    options = Options(
        splits=tuple(dict.fromkeys(split)),
        resamples=resamples,
        seed=seed,
        stress=stress,
        stress_pictures=stress_pictures,
        explain=explain,
        leave_one_out=_pairs(leave_one_out),
        write_into_bundle=write_into_bundle,
        threads=threads,
    )
    with _Bars() as bars:
        result = measure(bundle, manifest, out, options, progress=bars.show)
    _print(result, out)
    if "test" in options.splits:
        typer.echo(f"The test split was opened; this is logged in the history of {bundle}.")


def _pairs(texts: list[str]) -> dict[str, Path]:
    found = {}
    for text in texts:
        source, equals, file = text.partition("=")
        if not (source and equals and file):
            raise typer.BadParameter(f"{text!r} is not SOURCE=FILE", param_hint="--leave-one-out")
        found[source] = Path(file)
    return found


class _Bars:
    """Progress bars on standard error, one per step; nothing where that is not a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, what: str, done: int, total: int) -> None:
        """Moves the bar of a step."""
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done, total=total)


def _print(result: Mapping[str, Any], out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from dermaloop.evaluation.report import figure_text, percent_text, section_title

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("split, source", "pictures", "balanced accuracy", "AUC malignant", "AUC melanoma", "declined"):
        table.add_column(name, justify="right" if name == "pictures" else "left")
    for part in result["sections"]:
        figures = part["figures"]["all"]
        shown = [figure_text(figures[name], 2) for name in ("balanced_accuracy", "malignant_auc", "melanoma_auc")]
        declined = percent_text(part["abstention"]["share_all"]["value"])
        table.add_row(section_title(part), str(part["counts"]["rows"]), *shown, declined)
    console = Console(highlight=False)
    console.width = max(console.width, 110)  # a wrapped table of figures cannot be read
    console.print(table)
    console.print(f"Report: {out / 'report.html'}", soft_wrap=True)
