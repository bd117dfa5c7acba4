"""`dermaloop classify`: pictures in, a readable table or rows for machines out."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from dermaloop.core.errors import OutputError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from dermaloop.core.prediction import Prediction
    from dermaloop.inference.classifier import Classifier, Item
    from dermaloop.inference.tables import Format as FileFormat

app = typer.Typer(rich_markup_mode=None)

SOME_UNREADABLE = 3
_ROWS_AT_ONCE = 32
_FIXED = {"Result": 12, "Malignancy": 11}
"""Widths of the columns whose words are known."""
_OVERLAY_SIDE_PX = 768
_LONGEST_STEM_BYTES = 200
_MOTTO = "Decision support for research use. Not a medical device."


class Format(StrEnum):
    """How predictions are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


@app.command()
def classify(  # noqa: PLR0917 - typer reads the options off the signature
    paths: list[str] = typer.Argument(help="Files, folders, patterns; or - for a list of them on standard input."),
    kind: Format | None = typer.Option(
        None, "--format", help="How to write the predictions. [default: by the ending of --out, else table]"
    ),
    out: Path | None = typer.Option(None, "--out", help="File to write instead of standard output."),
    overlay: Path | None = typer.Option(None, "--overlay", help="Folder for the pictures with their heatmaps (JPEG)."),
    bundle: Path | None = typer.Option(
        None, "--bundle", help="Bundle folder or .dermaloop file. [default: the one that ships]"
    ),
    operating_point: str | None = typer.Option(
        None, "--operating-point", help="Operating point to decide by. [default: the bundle's]"
    ),
    threads: int | None = typer.Option(None, "--threads", min=1, help="Cores to use. [default: all]"),
) -> None:
    """Classify pictures of skin lesions.

    Exit status: 0 all assessed or declined, 1 an error, 2 wrong usage, 3 some files were unreadable.
    """
    from dermaloop.core.bundle import open_bundle
    from dermaloop.inference.classifier import Classifier
    from dermaloop.inference.default import default_bundle_path
    from dermaloop.inference.sources import items, pictures

    chosen = _format(kind, out)
    if overlay is not None and overlay.exists() and not overlay.is_dir():
        raise OutputError("this is a file, not a folder", where=str(overlay), way_out="Choose another with --overlay.")
    given = list(_paths(paths)) if "-" in paths else paths
    classifier = Classifier(
        open_bundle(bundle or default_bundle_path()), threads=threads, operating_point=operating_point
    )
    each = None if overlay is None else _overlays(overlay)
    count = unreadable = 0
    strangers = Strangers()
    with _destination(chosen, out, classifier) as write, _bar(lambda: pictures(given)) as advance:
        for prediction in classifier.classify_many(items(pictures(given, left_out=strangers.add)), each=each):
            write(prediction)
            count += 1
            unreadable += prediction.status == "unreadable"
            advance()
        if not count:
            strangers.tell()
            raise typer.BadParameter("there is no picture in what was named", param_hint="PATHS")
    strangers.tell()
    if unreadable:
        raise typer.Exit(SOME_UNREADABLE)


class Strangers:
    """The files of a folder that are no pictures: counted and told, for one of them may be a lesion after all."""

    def __init__(self) -> None:
        self._count = 0
        self._first = Path()

    def add(self, path: Path) -> None:
        """One more of them."""
        self._first = self._first if self._count else path
        self._count += 1

    def tell(self) -> None:
        """Says on standard error how many there were, where there were any."""
        from dermaloop.cli.terminal import shown
        from dermaloop.inference.sources import name_of

        if self._count:
            first = shown(name_of(self._first))
            number = "1 file" if self._count == 1 else f"{self._count} files"
            typer.echo(f"left out {number} of the folder, no pictures by name or content: {first} first", err=True)


def _format(kind: Format | None, out: Path | None) -> Format:
    by_ending = {f".{known}": known for known in Format if known is not Format.TABLE}
    if kind is None:
        return Format.TABLE if out is None else by_ending.get(out.suffix.lower(), Format.TABLE)
    if kind is Format.PARQUET and out is None:
        raise typer.BadParameter("parquet is not text: name a file with --out", param_hint="--format")
    return kind


def _paths(paths: Iterable[str]) -> Iterator[str]:
    from dermaloop.inference.sources import listed

    for path in paths:
        if path == "-":
            yield from listed(sys.stdin)
        else:
            yield path


def _overlays(folder: Path) -> Callable[[Item, Prediction], None]:
    """Draws the overlay of one picture into the folder, called by its name, cut where very long, and its hash."""
    from dermaloop.core.image import decode, read_bytes
    from dermaloop.inference.explain import overlay
    from dermaloop.inference.tables import complete_file

    def draw(item: Item, prediction: Prediction) -> None:
        if prediction.heatmap is None or prediction.frame is None:
            return
        content = item.source if isinstance(item.source, bytes) else read_bytes(item.source)
        image = decode(content, name=item.name, least_side_px=_OVERLAY_SIDE_PX).image
        stream = io.BytesIO()
        overlay(image, prediction.heatmap, prediction.frame).save(stream, "JPEG", quality=90)
        path = folder / f"{_short(Path(item.name).stem)}-{prediction.sha256[:8]}.jpg"
        with complete_file(path) as temporary:
            temporary.write_bytes(stream.getvalue())

    return draw


def _short(stem: str) -> str:
    """A file's name cut so that what is added to it still fits into what file systems take (255 bytes)."""
    return stem.encode()[:_LONGEST_STEM_BYTES].decode(errors="ignore")


@contextlib.contextmanager
def _destination(kind: Format, out: Path | None, classifier: Classifier) -> Iterator[Callable[[Prediction], None]]:
    from dermaloop.inference.tables import on_stream, writing

    if kind is Format.TABLE:
        with _table(out, classifier) as write:
            yield write
    elif out is None:
        with on_stream(sys.stdout, str(kind), classifier.bundle, classifier.operating_point) as write:
            yield write
    else:
        with writing(out, cast("FileFormat", str(kind)), classifier.bundle, classifier.operating_point) as write:
            yield write


@contextlib.contextmanager
def _table(out: Path | None, classifier: Classifier) -> Iterator[Callable[[Prediction], None]]:
    """A table for a person, printed in pieces so that any number of pictures needs the same memory."""
    from rich.console import Console

    from dermaloop.inference.tables import complete_file

    with contextlib.ExitStack() as stack:
        stream = None
        if out is not None:
            temporary = stack.enter_context(complete_file(out))
            stream = stack.enter_context(temporary.open("w", encoding="utf-8"))
        console = Console(file=stream, width=120 if stream else None, highlight=False)
        waiting: list[Prediction] = []
        counts = {"assessed": 0, "abstained": 0, "unreadable": 0}

        def flush(*, first: bool) -> None:
            table = _columns(console, header=first)
            for prediction in waiting:
                table.add_row(*_cells(prediction))
            console.print(table)
            waiting.clear()

        shown = False

        def write(prediction: Prediction) -> None:
            nonlocal shown
            waiting.append(prediction)
            counts[prediction.status] += 1
            if len(waiting) >= _ROWS_AT_ONCE:
                flush(first=not shown)
                shown = True

        yield write
        if waiting:
            flush(first=not shown)
        if any(counts.values()):
            _footer(console, classifier, counts)


def _columns(console: Console, *, header: bool) -> Table:
    from rich import box
    from rich.table import Table

    # Widths are fixed, so that the pieces of a long table line up.
    room = max(80, console.width) - sum(_FIXED.values()) - 6
    widths = {"Picture": int(room * 0.32), **_FIXED, "Suggestion": int(room * 0.28), "Why": int(room * 0.4)}
    table = Table(box=box.SIMPLE_HEAD if header else None, show_header=header, padding=(0, 1, 0, 0), pad_edge=False)
    for name, width in widths.items():
        table.add_column(name, width=width, overflow="fold", justify="right" if name == "Malignancy" else "left")
    return table


def _cells(prediction: Prediction) -> tuple[str, ...]:
    from rich.markup import escape

    from dermaloop.cli.terminal import shown
    from dermaloop.core.taxonomy import ENTRIES

    words = {
        ("assessed", "refer"): "[bold]Refer[/bold]",
        ("assessed", "no_referral"): "No referral",
        ("abstained", ""): "[yellow]Declined[/yellow]",
        ("unreadable", ""): "[red]Unreadable[/red]",
    }
    chance = prediction.malignant_probability
    top = prediction.top_diagnosis
    suggestion = f"{ENTRIES[top].name}, {_percent(prediction.probabilities[top])}" if top else ""
    if prediction.status == "assessed" and chance is not None and prediction.threshold is not None:
        relation = "at or above" if prediction.decision == "refer" else "below"
        why = f"{_percent(chance)} is {relation} the threshold of {_percent(prediction.threshold)}."
    else:
        why = " ".join(reason.text for reason in prediction.reasons)
    if prediction.status == "abstained":
        suggestion = f"({suggestion})"
    return (
        escape(shown(prediction.image).replace("\n", "?")),
        words[prediction.status.value, prediction.decision.value],
        "" if chance is None else _percent(chance),
        suggestion,
        escape(why),
    )


def _percent(value: float) -> str:
    """A probability for a person: whole percent, one decimal near the ends, never a rounded 0 or 100."""
    if 0 < value < 0.001:  # noqa: PLR2004
        return "< 0.1 %"
    if 0.999 < value < 1:  # noqa: PLR2004
        return "> 99.9 %"
    return f"{100 * value:.1f} %" if value < 0.1 or value > 0.9 else f"{100 * value:.0f} %"  # noqa: PLR2004


def _footer(console: Console, classifier: Classifier, counts: dict[str, int]) -> None:
    point = classifier.operating_point
    low, high = point.sensitivity_interval
    console.print()
    console.print(
        f"{counts['assessed']} assessed, {counts['abstained']} declined, {counts['unreadable']} unreadable. "
        f"Model {classifier.bundle.identity}."
    )
    console.print(
        f"Operating point {point.name}: refers from {_percent(point.threshold)}. Measured on {point.measured_on}: "
        f"finds {_percent(point.sensitivity)} of malignant lesions ({_percent(low)} to {_percent(high)}), "
        f"and refers {_percent(1 - point.specificity)} of benign ones.",
        markup=False,
    )
    console.print(_MOTTO)


@contextlib.contextmanager
def _bar(again: Callable[[], Iterable[Path]]) -> Iterator[Callable[[], None]]:
    """A progress bar on standard error, where that is a terminal and there is more than one picture."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    total = sum(1 for _ in again()) if console.is_terminal else 0
    if total <= 1:
        yield lambda: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("Classifying", total=total)
        yield lambda: progress.advance(task)
